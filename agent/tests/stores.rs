//! The agent's program against a real store: what is uploaded is what is fetched, and each error has its own exit code and
//! message.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::net::SocketAddr;

use seatrial_core::contract::{AttemptKey, Digest, ExitCode, Record, RecoverConfig, VERSION, layout, paths};
use seatrial_crds::OutputType;
use seatrial_store::testing::LocalStore;
use support::{Pod, artifact, by_uri, fetch_config, key, on_disk, publish_config, store, tree, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_is_what_is_fetched() {
    let (data, store) = store().await;
    let pod = Pod::new("growth");
    pod.command_ended(0);
    let large: Vec<u8> = (0..9_000_000_u32).map(|number| (number % 251) as u8).collect();
    pod.write_output("model", "model.json", b"{}");
    pod.write_output("model", "weights/large.bin", &large);
    pod.write_output("model", "weights/e mpty +%ä", b"");
    pod.write_output("metrics", "metrics.json", br#"{"auc": 0.9, "rows": 12}"#);
    let outputs = [("model", OutputType::Model), ("metrics", OutputType::Metrics)];
    let end = pod.publish(&publish_config(pod.own_store(&store), &outputs)).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    assert_eq!(end.message.outputs[0].files, 3);
    assert_eq!(end.message.metrics[0].value, "0.9");
    let record = fs::read(on_disk(&data, &layout::record(&key()))).unwrap();
    let record = Record::parse(&record, &key(), ["model", "metrics"]).unwrap();
    assert_eq!((&record.outputs, &record.metrics), (&end.message.outputs, &end.message.metrics));
    assert_eq!((record.image.as_str(), record.exit.code, record.log), ("churn:1", 0, None));

    let reader = Pod::new("growth");
    let model = &end.message.outputs[0].digest;
    let config = fetch_config(vec![reader.own_store(&store)], vec![artifact("model", "s3://growth/", model)]);
    let fetched = reader.fetch(&config).await;
    assert_eq!(fetched.code, ExitCode::Success, "{fetched:?}");
    assert_eq!(&fetched.message.inputs[0].digest, model);
    assert_eq!(tree(&reader.path(paths::INPUTS).join("model")), tree(&pod.path(paths::OUTPUTS).join("model")));
    // A fetch that is started again begins anew.
    fs::write(reader.path(paths::INPUTS).join("model/stray"), "x").unwrap();
    assert_eq!(reader.fetch(&config).await.code, ExitCode::Success);
    assert!(!reader.path(paths::INPUTS).join("model/stray").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_pods_of_one_attempt_the_first_result_counts() {
    let (_data, store) = store().await;
    let ends = ["first", "second"].map(|content| {
        let pod = Pod::new("growth");
        pod.command_ended(0);
        pod.write_output("x", "content", content.as_bytes());
        pod
    });
    let mut messages = vec![];
    for pod in &ends {
        let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)])).await;
        assert_eq!(end.code, ExitCode::Success);
        messages.push(end.message);
    }
    assert_eq!(messages[0], messages[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_waited_for_and_readiness_says_so() {
    let (data, store) = store().await;
    let pod = Pod::new("growth");
    pod.command_ended(0);
    pod.write_output("x", "content", b"hours of work");
    let config = publish_config(pod.own_store(&store), &[("x", OutputType::Any)]);
    let address: SocketAddr = store.address;
    store.stop().await.unwrap();
    let publishing = pod.start_publish(&config);
    until("readiness fails", async || pod.probe().await == 1).await;
    let store = LocalStore::start_at(data.path(), address).await.unwrap();
    let end = pod.end(publishing).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    assert_eq!(pod.probe().await, 0);
    store.stop().await.unwrap();
    // A fetch has other work to leave room for: it gives up, and the Job tries again.
    let input = artifact("x", "s3://growth/", &end.message.outputs[0].digest);
    let end = pod.fetch(&fetch_config(config.stores, vec![input])).await;
    assert_eq!(end.code, ExitCode::StoreUnavailable);
    assert!(end.text().contains("look at the store"), "{}", end.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_in_the_store_is_found() {
    let (data, store) = store().await;
    let pod = Pod::new("growth");
    pod.command_ended(0);
    pod.write_output("x", "content", b"good");
    let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)])).await;
    let digest = end.message.outputs[0].digest.clone();
    let config = fetch_config(vec![pod.own_store(&store)], vec![artifact("x", "s3://growth/", &digest)]);
    let object = on_disk(&data, &layout::object(&Digest::of(b"good")));
    fs::write(&object, "evil").unwrap();
    let end = pod.fetch(&config).await;
    assert_eq!(end.code, ExitCode::CorruptArtifact);
    assert!(end.text().contains("not what its digest says"), "{}", end.text());
    fs::write(object, "good").unwrap();
    fs::write(on_disk(&data, &layout::artifact(&digest)), "{}").unwrap();
    assert_eq!(pod.fetch(&config).await.code, ExitCode::CorruptArtifact);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_or_not_ones_own_is_said_at_once() {
    let (_data, store) = store().await;
    let pod = Pod::new("growth");
    let theirs = pod.store(&store, "s3://risk/");
    let cases = [
        (pod.own_store(&store), artifact("x", "s3://growth/", &Digest::of(b"never")), "does not exist"),
        (pod.own_store(&store), by_uri("x", "s3://growth/", "s3://growth/raw/none.csv"), "does not exist"),
        (pod.own_store(&store), by_uri("x", "s3://growth/", "s3://growth/raw/"), "nothing"),
        (theirs.clone(), by_uri("x", "s3://risk/", "s3://risk/raw/a.csv"), "may not be read"),
        (theirs.clone(), by_uri("x", "s3://risk/", "s3://risk/raw/"), "may not be read"),
        (theirs, artifact("x", "s3://risk/", &Digest::of(b"x")), "may not be read"),
    ];
    for (config, input, expected) in cases {
        let mut config = fetch_config(vec![config], vec![input]);
        // Were it taken for an outage, it would be waited for.
        config.outage_seconds = 3600;
        let end = pod.fetch(&config).await;
        assert_eq!(end.code, ExitCode::InputNotFound, "{end:?}");
        assert!(end.text().contains(expected), "{}", end.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_that_cannot_be_taken_are_refused_with_the_reason() {
    let (_data, store) = store().await;
    type Spoil = fn(&Pod);
    let cases: [(OutputType, Spoil, &str); 6] = [
        // Where its outputs are is the pod's business, not what lies elsewhere.
        (
            OutputType::Any,
            |pod| {
                let outputs = pod.path(paths::OUTPUTS);
                pod.write_output("x", "token", b"a secret");
                fs::rename(&outputs, outputs.with_extension("aside")).unwrap();
                std::os::unix::fs::symlink(outputs.with_extension("aside"), outputs).unwrap();
            },
            "do not replace it",
        ),
        (
            OutputType::Metrics,
            |pod| {
                pod.write_output("x", "a", b"");
                std::os::unix::fs::symlink("/dev/zero", pod.path("/seatrial/outputs/x/metrics.json")).unwrap();
            },
            "cannot be read",
        ),
        (OutputType::Model, |pod| fs::create_dir_all(pod.path("/seatrial/outputs/x")).unwrap(), "is empty"),
        (OutputType::Any, |_| (), "cannot be opened"),
        (OutputType::Metrics, |pod| pod.write_output("x", "metrics.json", br#"[0.9]"#), "no JSON object"),
        (
            OutputType::Any,
            |pod| {
                pod.write_output("x", "a", b"");
                std::os::unix::fs::symlink("/etc/passwd", pod.path("/seatrial/outputs/x/link")).unwrap();
            },
            "is a link",
        ),
    ];
    for (kind, spoil, expected) in cases {
        let pod = Pod::new("growth");
        pod.command_ended(0);
        spoil(&pod);
        let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", kind)])).await;
        assert_eq!(end.code, ExitCode::BadOutput, "{end:?}");
        assert!(end.text().contains(expected), "{}", end.text());
    }
}

/// What lies at a record's key may be anybody's: it counts only if it answers to the attempt and its outputs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_recovered_and_another_is_not_adopted() {
    let (data, store) = store().await;
    let pod = Pod::new("growth");
    let recover =
        RecoverConfig { version: VERSION, store: pod.own_store(&store), attempt: key(), outputs: vec!["x".into()] };
    let end = pod.end(pod.start("recover", &recover)).await;
    assert_eq!(end.code, ExitCode::InputNotFound, "{end:?}");
    pod.command_ended(0);
    pod.write_output("x", "content", b"work");
    let config = publish_config(pod.own_store(&store), &[("x", OutputType::Any)]);
    let published = pod.publish(&config).await;
    let found = pod.end(pod.start("recover", &recover)).await;
    assert_eq!((found.code, &found.message.outputs), (ExitCode::Success, &published.message.outputs), "{found:?}");
    // The same attempt with other outputs: what is there is not its own.
    pod.write_output("y", "content", b"work");
    let other = pod.publish(&publish_config(pod.own_store(&store), &[("y", OutputType::Any)])).await;
    assert_eq!(other.code, ExitCode::CorruptArtifact, "{other:?}");
    assert!(other.text().contains("not this attempt's record"), "{}", other.text());
    let object = on_disk(&data, &layout::record(&key()));
    fs::File::options().write(true).open(&object).unwrap().set_len(17 << 20).unwrap();
    let huge = pod.end(pod.start("recover", &recover)).await;
    assert_eq!(huge.code, ExitCode::CorruptArtifact, "{huge:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_of_another_release_is_refused() {
    let pod = Pod::new("growth");
    let mut config = fetch_config(vec![], vec![]);
    config.version += 1;
    let end = pod.fetch(&config).await;
    assert_eq!(end.code, ExitCode::BadConfiguration);
    assert!(end.text().contains("one release"), "{}", end.text());
}

/// A store can hold what a disk cannot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_a_folder_too_is_named() {
    let (data, store) = store().await;
    for key in ["raw/a", "raw/a/b"] {
        let path = on_disk(&data, key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    let pod = Pod::new("growth");
    let end = pod
        .fetch(&fetch_config(vec![pod.own_store(&store)], vec![by_uri("x", "s3://growth/", "s3://growth/raw/")]))
        .await;
    assert_eq!(end.code, ExitCode::CorruptArtifact, "{end:?}");
    assert!(end.text().contains("\"a\" is both a file and a folder"), "{}", end.text());
}

/// All pods of an Indexed Job work for one attempt: each has a result of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_index_of_an_attempt_has_a_record_of_its_own() {
    let (data, store) = store().await;
    for index in 0..2_u32 {
        let pod = Pod::new("growth").with_variable(paths::INDEX_VARIABLE, index.to_string());
        pod.command_ended(0);
        pod.write_output("x", "content", format!("of {index}").as_bytes());
        let end = pod.publish(&publish_config(pod.own_store(&store), &[("x", OutputType::Any)])).await;
        assert_eq!(end.code, ExitCode::Success, "{end:?}");
        let attempt = AttemptKey { index, ..key() };
        let record = fs::read(on_disk(&data, &layout::record(&attempt))).unwrap();
        let record = Record::parse(&record, &attempt, ["x"]).unwrap();
        assert_eq!(record.outputs, end.message.outputs, "the result of {index}");
    }
}

/// What a person exported from a spreadsheet is called so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_with_blanks_and_marks_are_fetched_as_they_are_written() {
    let (data, store) = store().await;
    let pod = Pod::new("growth");
    let names = ["raw data/a b.csv", "raw data/50% of ä+b.csv"];
    for name in names {
        let file = on_disk(&data, name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, name).unwrap();
    }
    let inputs = vec![
        by_uri("one", "s3://growth/", &format!("s3://growth/{}", names[0])),
        by_uri("all", "s3://growth/", "s3://growth/raw data/"),
    ];
    let end = pod.fetch(&fetch_config(vec![pod.own_store(&store)], inputs)).await;
    assert_eq!(end.code, ExitCode::Success, "{end:?}");
    let read = |path: &str| fs::read_to_string(pod.path(paths::INPUTS).join(path)).unwrap();
    assert_eq!((read("one/a b.csv").as_str(), read("all/50% of ä+b.csv").as_str()), (names[0], names[1]));
}
