//! The model card as a page: what it shows, and that nothing in it is markup of somebody else.

use std::sync::LazyLock;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::judged::fixtures;

/// Text that would become markup, close an attribute, or turn the line, if it were not escaped.
const HOSTILE: &str = "q\"zq<zq>&zq;'zq</style><script>zq\u{202e}\u{0}";

fn subject(fixture: fixtures::Fixture) -> Subject {
    let fixtures::Fixture { model, versions } = fixture;
    Subject { model, versions, deployments: vec![], stores: Some(vec![]), protection: Protection::Reserved }
}

fn full() -> Subject {
    let deployment = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": "churn-api", "namespace": "growth"},
        "spec": {"model": "churn", "server": {"image": "registry.example.com/churn", "port": 8080}},
        "status": {"servedVersion": "churn-v6", "candidateVersion": "churn-v5",
            "conditions": [{"type": "Refused", "status": "True", "reason": "VersionRefused",
                "message": "churn-v7 does not meet lifts", "lastTransitionTime": "2026-11-20T03:22:00Z"}]},
    });
    let store = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "Store", "metadata": {"name": "growth-lake", "namespace": "growth"},
        "spec": {"prefix": "s3://growth/", "credentials": {"secretName": "lake-keys"}},
    });
    Subject {
        deployments: vec![serde_json::from_value(deployment).unwrap()],
        stores: Some(vec![serde_json::from_value(store).unwrap()]),
        protection: Protection::Missing,
        ..subject(fixtures::full())
    }
}

/// A store without a Secret is opened by a role that any pod of the namespace may take.
#[test]
fn a_store_that_pods_open_by_a_role_is_called_unprotected() {
    let mut subject = full();
    let store = &mut subject.stores.as_mut().unwrap()[0];
    let credentials = json!({"webIdentity": {"role": "arn:aws:iam::123456789012:role/growth"}});
    store.spec.credentials = Some(serde_json::from_value(credentials).unwrap());
    let page = page(&subject, fixtures::now());
    assert!(page.contains("by the role arn:aws:iam::123456789012:role/growth"), "{page}");
}

/// After the owner changed the costs, the numbers of the page are not those of what serves.
#[test]
fn servers_that_keep_another_threshold_are_told_from_what_costs_choose_now() {
    let mut subject = full();
    let kept = |page: &str| page.contains("it still decides by the threshold that it came with");
    subject.deployments[0].status.as_mut().unwrap().served_threshold = Some("0.22".into());
    let same = page(&subject, fixtures::now());
    assert!(!kept(&same), "{same}");
    let status = subject.deployments[0].status.as_mut().unwrap();
    status.served_threshold = Some("0.5".into());
    let moved = json!({"type": "ThresholdCurrent", "status": "False", "reason": "ThresholdMoved",
        "message": "it goes on deciding at 0.5", "lastTransitionTime": "2026-11-20T03:22:00Z"});
    status.conditions.push(serde_json::from_value(moved).unwrap());
    let page = page(&subject, fixtures::now());
    for said in [
        "At churn-api it still decides by the threshold that it came with: it flags a row from a score of 0.5 on.",
        "There it finds 60 % of the positives and wrongly flags 5.28 % of the others, and its errors cost 0.609 EUR",
        "What follows is for 0.22, which the costs as they are now choose",
        "At churn-api, ThresholdMoved: it goes on deciding at 0.5",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
}

#[test]
fn the_page_of_a_full_model() {
    let page = page(&full(), fixtures::now()).replace(STYLE, "(style)\n");
    insta::assert_snapshot!(page);
}

#[test]
fn the_page_of_an_almost_empty_model() {
    let page = page(&subject(fixtures::empty()), fixtures::now()).replace(STYLE, "(style)\n");
    insta::assert_snapshot!(page);
}

/// What a page is made of that stands in no object, or is written into a file that a person opens.
#[test]
fn a_page_loads_nothing_runs_nothing_and_reads_without_colour() {
    let page = page(&full(), fixtures::now());
    for foreign in ["<script", "<link", "<img", "<iframe", "url(", "@import", "onload", "http-equiv"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for needed in ["<html lang=\"en\">", "<main>", "prefers-color-scheme: dark", "@media print", "width=device-width"] {
        assert!(page.contains(needed), "{needed}");
    }
    let count = |text: &str| page.matches(text).count();
    assert_eq!(count("<svg role=\"img\""), count("aria-label=\""), "each picture says what it shows");
    assert_eq!((count("<figcaption>"), count("<caption>")), (count("<figure>"), count("<table")));
    assert!(count("<svg") >= 8, "two versions, with costs, ROC, calibration and groups each");
    assert_eq!(count("<h1>"), 1);
}

#[test]
fn what_an_owner_must_know_stands_on_the_page() {
    let page = page(&full(), fixtures::now());
    for said in [
        "growth-team",
        "growth@example.com",
        "Find customers who will leave within 30 days",
        "Realtime",
        "Batch",
        // Model.status
        "churn-v6 since 2026-11-19 12:00 UTC (7d), at churn-api",
        "churn-v7: Failed",
        "rocAuc=0.8512",
        "churn-training, churn-nightly",
        "a version whose lift is at least 3",
        "churn-v6 serves and no longer meets lifts",
        // ModelVersion.status
        "Judged at 2026-11-20 03:22 UTC",
        "earlier state of the Model",
        "was-too-dear",
        "churn-gates-4",
        "sha256:9999",
        "0.851",
        "± 0.0071",
        "SelfReported labels",
        "0.22",
        "8,000 rows",
        "saves ",
        "flagging nobody",
        "It is at most 0.02 EUR worse than the champion by what its errors cost for each prediction",
        "The champion is churn-v6, since 2026-11-20 03:21 UTC",
        "Only the champion",
        "judged on the same labels before: 4",
        "there was no champion to compare it with",
        // Answers, gates, waivers
        "Counted in EUR, a false alarm costs 1, and a miss 20",
        "of churn-v6, which says how often a positive row scores above a negative one: 0.5 is chance, 1 is perfect",
        "rocAuc says how often a positive row scores above a negative one",
        "“leaving customer”. To flag a row is to take it for that.",
        "120 of 800 positives (leaving customer) missed",
        "Of 800 rows that are positive (“leaving customer”) it finds 680",
        "which rows are “leaving customer” (the label “left”)",
        "each half of the rows at the threshold that the other half chose",
        "where 7 % are positive",
        "7 % are positive",
        "found-alike",
        "differs by at most 35 percentage points",
        "shop (pods app=shop-frontend of namespace web)",
        "campaigns (all pods of its own namespace)",
        "200Mi",
        "rocAuc is at least 0.80, with a confidence of 95 %",
        "The spring campaign starts on Monday",
        "2027-03-01",
        "gender: (empty)",
        "too few to decide",
        "begins to serve nowhere (Block)",
        // Lineage
        "churn-c7",
        "churn-training, revision 7",
        "learning-rate",
        "s3://lake/customers/",
        "registry.example.com/churn@sha256",
        // ModelDeployment.status, Store
        "churn-v5 is being brought up at churn-api",
        "churn-v7 does not meet lifts",
        "lake-keys",
        "Unprotected measurements",
    ] {
        assert!(page.contains(said), "the page does not say: {said}");
    }
}

#[test]
fn questions_that_nobody_answered_are_asked() {
    let page = page(&subject(fixtures::empty()), fixtures::now());
    for said in
        ["nobody has said what errors cost", "whom the model must treat alike", "who asks the model", "nothing</dd>"]
    {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn a_problem_and_a_failed_attempt_are_said() {
    let mut subject = full();
    for version in &mut subject.versions {
        let status = version.status.as_mut().unwrap();
        status.measurement.as_mut().unwrap().problem = Some("the id 17 stands twice".into());
        status.measuring =
            Some(serde_json::from_value(json!({"key": "k", "attempt": 3, "failure": "the store is away"})).unwrap());
    }
    let page = page(&subject, fixtures::now());
    assert!(page.contains("could not be measured: the id 17 stands twice"), "{page}");
    assert!(
        page.contains("Attempt 3 to measure it, or its champion, failed: the store is away") && !page.contains("<svg")
    );
}

/// The places of all leaves of a document.
fn leaves(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                leaves(value, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (number, value) in items.iter().enumerate() {
                leaves(value, format!("{at}/{number}"), found);
            }
        }
        Value::String(_) | Value::Number(_) => found.push(at),
        _ => {}
    }
}

/// An object as a document, with the places of the texts that its type takes whatever they are: no enum, no time.
struct Form {
    whole: Value,
    texts: Vec<String>,
}

impl Form {
    fn of<T: Serialize + DeserializeOwned>(object: &T) -> Self {
        let mut whole = serde_json::to_value(object).unwrap();
        let mut texts = Vec::new();
        leaves(&whole, String::new(), &mut texts);
        texts.retain(|place| {
            let leaf = whole.pointer_mut(place).unwrap();
            let old = leaf.clone();
            let is_text = leaf.is_string();
            *leaf = json!("any text");
            let is_taken = is_text && serde_json::from_value::<T>(whole.clone()).is_ok();
            *whole.pointer_mut(place).unwrap() = old;
            is_taken
        });
        Self { whole, texts }
    }

    /// The object with something behind each text. Names by which objects find each other stay alike.
    fn followed<T: DeserializeOwned>(&self, by: &str) -> T {
        let mut whole = self.whole.clone();
        for place in &self.texts {
            let leaf = whole.pointer_mut(place).unwrap();
            *leaf = json!(format!("{}{by}", leaf.as_str().unwrap()));
        }
        serde_json::from_value(whole).unwrap()
    }
}

/// The full model's objects as documents.
struct Forms {
    model: Form,
    versions: Vec<Form>,
    deployments: Vec<Form>,
    stores: Vec<Form>,
}

static FORMS: LazyLock<Forms> = LazyLock::new(|| {
    let full = full();
    Forms {
        model: Form::of(&full.model),
        versions: full.versions.iter().map(Form::of).collect(),
        deployments: full.deployments.iter().map(Form::of).collect(),
        stores: full.stores.unwrap().iter().map(Form::of).collect(),
    }
});

/// The full model with something behind every text.
fn hostile(text: &str) -> Subject {
    Subject {
        model: FORMS.model.followed(text),
        versions: FORMS.versions.iter().map(|form| form.followed(text)).collect(),
        deployments: FORMS.deployments.iter().map(|form| form.followed(text)).collect(),
        stores: Some(FORMS.stores.iter().map(|form| form.followed(text)).collect()),
        protection: Protection::Missing,
    }
}

/// An object with its numbers, and the texts that are numbers, replaced.
fn renumbered<T: Serialize + DeserializeOwned>(object: &T, mut with: impl FnMut(&Value) -> Option<Value>) -> T {
    let mut whole = serde_json::to_value(object).unwrap();
    let mut places = Vec::new();
    leaves(&whole, String::new(), &mut places);
    for place in places {
        let leaf = whole.pointer_mut(&place).unwrap();
        if let Some(new) = with(leaf) {
            *leaf = new;
        }
    }
    serde_json::from_value(whole).unwrap()
}

/// Tags and attributes of the page, without text.
fn skeleton(page: &str) -> Vec<&str> {
    let body = page.split_once("</style>").map_or(page, |(_, body)| body);
    body.split('<').skip(1).map(|rest| rest.split(['>', ' ', '\n']).next().unwrap_or_default()).collect()
}

#[test]
fn no_text_of_an_object_becomes_markup() {
    let page = page(&hostile(HOSTILE), fixtures::now());
    assert!(page.matches("q&quot;zq&lt;zq&gt;&amp;zq;&#39;zq&lt;/style&gt;").count() > 60, "the texts are on the page");
    for raw in ["\"zq", "<zq", "</style><", "<script", "'zq", "\u{202e}", "\u{0}"] {
        assert!(!page.contains(raw), "{raw:?} is on the page as it stands");
    }
}

/// Numbers that no operator writes; the last ones are what a measurement would have to be made of by hand.
const ODD: [i64; 6] = [i64::MIN, -1, 0, 1, 1 << 53, i64::MAX];

static FULL: LazyLock<Subject> = LazyLock::new(full);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn odd_objects_make_a_page_of_the_same_tags(text in "[<>&\"' \\PC\u{0}-\u{1f}]{1,12}") {
        let marked = format!("{text}<zq\"zq");
        let page = page(&hostile(&marked), fixtures::now());
        prop_assert!(!page.contains("<zq") && !page.contains("\"zq"));
        let known = ["!DOCTYPE", "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "h1",
            "h2", "h3", "p", "br", "dl", "dt", "dd", "ul", "li", "div", "table", "caption", "thead", "tbody", "tr", "th", "td", "span",
            "strong", "details", "summary", "figure", "figcaption", "svg", "line", "text", "circle", "polyline", "rect"];
        for tag in skeleton(&page) {
            prop_assert!(known.contains(&tag.trim_start_matches('/').trim_end_matches('/')), "{tag}");
        }
    }

    #[test]
    fn odd_numbers_panic_nothing(seed in 0_usize..10_000, word in "-?[0-9]{0,30}(\\.[0-9]{0,30})?(e[0-9]{1,3})?|inf|NaN|") {
        let mut turn = seed;
        let mut with = |leaf: &Value| {
            turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pick = turn >> 33;
            if leaf.is_number() {
                pick.is_multiple_of(3).then(|| json!(ODD[pick % ODD.len()]))
            } else {
                (pick.is_multiple_of(5) && leaf.as_str().is_some_and(|old| old.parse::<f64>().is_ok())).then(|| json!(word))
            }
        };
        let mut odd = FULL.clone();
        odd.model = renumbered(&odd.model, &mut with);
        odd.versions = odd.versions.iter().map(|version| renumbered(version, &mut with)).collect();
        let page = page(&odd, fixtures::now());
        prop_assert!(!page.contains("NaN") || word == "NaN");
    }
}

#[test]
fn objects_without_names_or_statuses_make_a_page() {
    let mut bare = full();
    bare.model.metadata = ObjectMeta::default();
    for version in &mut bare.versions {
        (version.status, version.spec.lineage) = (None, None);
    }
    assert!(page(&bare, fixtures::now()).contains("made elsewhere"));
    bare.model.status = None;
    assert!(page(&bare, fixtures::now()).ends_with("</html>\n"));
}
