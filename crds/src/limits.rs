//! The bounds of the API, in one place. They are part of it: a bound may grow, never shrink.
//!
//! The schema enforces them at apply, so that everything behind it can rely on sizes; CEL rules need them too, since
//! the API server refuses a rule whose worst case is too expensive.

/// Steps of a pipeline.
pub const STEPS: usize = 128;
/// Inputs of a step.
pub const INPUTS: usize = 16;
/// Outputs of a step.
pub const OUTPUTS: usize = 8;
/// Parameters of a pipeline.
pub const PARAMETERS: usize = 64;
/// Bytes of a parameter's value.
pub const PARAMETER_VALUE: usize = 256;
/// Headline metrics of a step or a version.
pub const METRICS: usize = 16;
/// Bytes of a metric's name.
pub const METRIC_NAME: usize = 63;
/// Entries of `publishes`.
pub const PUBLISHES: usize = 8;
/// Evidence of one publication.
pub const EVIDENCE: usize = 8;
/// Gates of a model.
pub const GATES: usize = 32;
/// Waivers of a model.
pub const WAIVERS: usize = 32;
/// ModelDeployments that a model's status names.
pub const SERVING: usize = 32;
/// What the newest version of a model waits for, as far as its status names it.
pub const WAITING: usize = 16;
/// Judgements that a version remembers; the oldest go first.
pub const JUDGEMENTS: usize = 8;
/// Columns that divide an evaluation's rows into groups.
pub const SLICES: usize = 8;
/// Groups of all slices together.
pub const MEASURED_GROUPS: usize = 64;
/// Metrics that a judge measures.
pub const MEASURED_METRICS: usize = 16;
/// Points of a curve that a measurement has.
pub const CURVE_POINTS: usize = 48;
/// Rules of fairness.
pub const FAIRNESS_RULES: usize = 16;
/// Consumers of a model.
pub const CONSUMERS: usize = 32;
/// Bytes of a column's name.
pub const COLUMN: usize = 63;
/// Bytes of a label in a table, or of a group's value.
pub const LABEL: usize = 63;
/// Bytes of two counts as a text.
pub const COUNTS: usize = 39;
/// Bytes of the owner's words for the positive label.
pub const POSITIVE_MEANS: usize = 64;
/// Bytes of a unit of costs.
pub const UNIT: usize = 16;
/// Verdicts of one judgement: gates, rules of fairness, and the other answers.
pub const VERDICTS: usize = GATES + FAIRNESS_RULES + 4;
/// States of a Model that no judgement names and that are kept all the same, the newest.
pub const GATES_HISTORY: usize = 10;
/// Bytes of what a verdict is named by: `fairness.` and a rule's name.
pub const VERDICT_NAME: usize = 63;
/// Jobs that try to measure a version.
pub const MEASURING_ATTEMPTS: u32 = 3;
/// Environment variables of a pipeline, step or server.
pub const ENV: usize = 64;
/// Bytes of a literal environment value.
pub const ENV_VALUE: usize = 4096;
/// Entries of `envFrom`.
pub const ENV_FROM: usize = 16;
/// Elements of `command`, and of `args`.
pub const COMMAND: usize = 32;
/// Bytes of one element of `command` or `args`: room for a short script; a long one belongs into the image.
pub const COMMAND_ELEMENT: usize = 2048;
/// Entries of `nodeSelector`, labels and annotations.
pub const MAP: usize = 32;
/// Tolerations.
pub const TOLERATIONS: usize = 16;
/// Entries of `topologySpreadConstraints`.
pub const TOPOLOGY_SPREAD: usize = 8;
/// Terms of an affinity.
pub const AFFINITY_TERMS: usize = 16;
/// Expressions of a selector.
pub const SELECTOR_EXPRESSIONS: usize = 16;
/// Values of an expression.
pub const SELECTOR_VALUES: usize = 64;
/// Volumes of a pod, and mounts of a container.
pub const VOLUMES: usize = 16;
/// Keys of a ConfigMap or Secret that a volume names.
pub const VOLUME_ITEMS: usize = 32;
/// Bytes of a path at which a volume is mounted, or of a path within it.
pub const MOUNT_PATH: usize = 512;
/// Supplemental groups.
pub const GROUPS: usize = 16;
/// The largest UID or GID.
pub const USER_ID: i64 = 2_147_483_647;
/// Pull secrets.
pub const PULL_SECRETS: usize = 8;
/// Bytes of the name of an account or a group.
pub const ACCOUNT: usize = 256;
/// Groups that an Approval names.
pub const APPROVER_GROUPS: usize = 32;
/// Accounts of tools that a gate accepts.
pub const WRITERS: usize = 8;
/// Approvals that a gate may ask for.
pub const APPROVALS: u32 = 8;
/// Bytes of the name of a role to assume: what AWS allows.
pub const ROLE: usize = 2048;
/// Bytes of the audience of a token.
pub const AUDIENCE: usize = 253;
/// Bytes of a URI or endpoint.
pub const URI: usize = 1024;
/// Bytes of a Store's prefix: what an artifact's URI adds to it is a little less than the difference to [`URI`].
pub const PREFIX: usize = 900;
/// Hosts that the answers of a Store may redirect to.
pub const REDIRECT_HOSTS: usize = 16;
/// Bytes of such a host: a name, `:` and a port.
pub const HOST: usize = 259;
/// Inputs by URI of a pipeline, all steps together: a version's lineage names each.
pub const URI_INPUTS: usize = 256;
/// Bytes of an image reference.
pub const IMAGE: usize = 512;
/// Bytes of a sentence for people.
pub const SENTENCE: usize = 1024;
/// How often the store is asked what a lost attempt made.
pub const RECOVERIES: u32 = 3;
/// Bytes of a step's message in a run's status: 128 of them must fit beside everything else.
pub const STEP_MESSAGE: usize = 256;
/// Bytes of a condition's message.
pub const CONDITION_MESSAGE: usize = 4096;
/// Bytes of a reason: one word.
pub const REASON: usize = 63;
/// Bytes of an image as it was really run: a repository of 255, and a digest.
pub const IMAGE_DIGEST: usize = 384;
/// Bytes of a UID.
pub const UID: usize = 63;
/// Bytes of a decimal number in a string.
pub const DECIMAL: usize = 40;
/// Bytes of a digest.
pub const DIGEST: usize = 71;
/// Namespaces that a DataContract serves.
pub const SERVED_NAMESPACES: usize = 64;
/// Bytes of a namespace's name.
pub const NAMESPACE: usize = 63;
/// Texts that stand for no value in a CSV file.
pub const NULL_VALUES: usize = 16;
/// Bytes of a DataContract's document, as JSON.
pub const CONTRACT_DOCUMENT: usize = 256 * 1024;
/// Bytes of a DataContract's name, which stands in labels.
pub const CONTRACT: usize = 63;
/// Inputs with a contract of a pipeline, all steps together: a run's status tells of each, and a version's lineage names it.
pub const CONTRACT_INPUTS: usize = 32;
/// Bytes of a contract's namespace and name, with `/` between them.
pub const CONTRACT_KEY: usize = NAMESPACE + 1 + CONTRACT;
/// Broken rules that a run's status names for one check.
pub const BROKEN_RULES_SHOWN: usize = 3;
/// Bytes of a contract's version.
pub const CONTRACT_VERSION: usize = 63;
/// Bytes of the name of a contract's schema object or rule.
pub const CONTRACT_NAME: usize = 128;
/// Schema objects of a contract that are told of, and that data can be checked by.
pub const CONTRACT_SCHEMAS: usize = 64;
/// Rules of a contract that its status shows.
pub const CONTRACT_RULES_SHOWN: usize = 64;
/// Parts of a contract that are not checked, as far as its status shows them.
pub const NOT_CHECKED_SHOWN: usize = 32;
/// Changes of a contract since the document before, as far as its status shows them.
pub const CONTRACT_CHANGES_SHOWN: usize = 16;
/// Pipelines that a change of a contract concerns, as far as its status names them.
pub const AFFECTED_PIPELINES_SHOWN: usize = 32;
/// Tables that a contract's own schedule checks.
pub const CHECKED_TABLES: usize = 8;
/// Checks of a contract's own schedule that its status remembers; the oldest go first.
pub const CHECKS: usize = 10;
/// Jobs that try to make one check of a contract's own schedule.
pub const CHECK_ATTEMPTS: u32 = 3;
/// Bytes of a schedule in cron's notation.
pub const CRON: usize = 128;
/// Bytes of a time zone's name.
pub const TIME_ZONE: usize = 63;
/// Bytes of a duration.
pub const DURATION: usize = 24;
/// Pipelines that a Model's status names as its publishers.
pub const PUBLISHERS: usize = 16;
/// Versions of a ModelDeployment that have servers at the same time.
pub const DEPLOYED_VERSIONS: usize = 8;
/// Fields whose corrections a ModelDeployment's status counts.
pub const CORRECTIONS: usize = 8;
/// Bytes of the path of a field.
pub const FIELD_PATH: usize = 256;
/// Bytes of the names of a run's versions on one line.
pub const PUBLISHED: usize = 640;
/// Bytes of a version's headline.
pub const HEADLINE: usize = 128;
/// Conditions of an object.
pub const CONDITIONS: usize = 16;
/// Runs of a pipeline that may be under way at once.
pub const MAX_RUNS: u32 = 1000;
/// Seconds that a server may have to stay ready before it counts.
pub const MIN_READY_SECONDS: u32 = 3600;
/// Retries of a step.
pub const RETRIES: u32 = 10;
/// Replicas of a model server.
pub const REPLICAS: u32 = 1000;
/// Disruptions and outages that one attempt of a step may meet before it is given up.
pub const INTERRUPTIONS: usize = 8;
/// Runs that a history limit may keep.
pub const HISTORY: u32 = 100;

/// Triggers of a pipeline.
pub const TRIGGERS: usize = 8;

/// Bytes of the name of a step, input, output, parameter, gate or trigger.
pub const NAME: usize = 40;
/// Bytes of a pipeline's name: `<pipeline>-c<number>` names its runs, and stands in labels of at most 63.
pub const PIPELINE_NAME: usize = 50;
/// Bytes of a run's name, which stands in labels.
pub const RUN_NAME: usize = 63;
/// Bytes of a model's name: `<model>-v<number>` names its versions, and stands in labels of at most 63.
pub const MODEL_NAME: usize = 50;
/// Bytes of a deployment's name, which names a Service and begins the names of Deployments.
pub const DEPLOYMENT_NAME: usize = 50;
/// Bytes of an object's name where Kubernetes allows a DNS subdomain.
pub const SUBDOMAIN: usize = 253;

/// Bytes of the name of a label or annotation: a domain, `/`, and 63.
pub const LABEL_KEY: usize = 317;

/// What the name of a step, input, output, parameter or gate looks like, and of every kind of object whose name
/// becomes a label, a Service or part of a variable's name.
pub const NAME_PATTERN: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";
/// What the name of an object in a reference looks like: an RFC 1123 subdomain.
pub const SUBDOMAIN_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// What a label's value looks like.
pub const LABEL_VALUE_PATTERN: &str = "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";
/// What a DNS label looks like, as volumes are named.
pub const DNS_LABEL_PATTERN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// What an environment variable's name looks like.
pub const ENV_NAME_PATTERN: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
/// What a decimal number in a string looks like.
pub const DECIMAL_PATTERN: &str = r"^-?[0-9]{1,18}(\.[0-9]{1,18})?$";
/// What an amount looks like: a decimal number that is not negative.
pub const AMOUNT_PATTERN: &str = r"^[0-9]{1,18}(\.[0-9]{1,18})?$";
/// What a part of a whole looks like: a decimal number from 0 to 1.
pub const PROPORTION_PATTERN: &str = r"^(0(\.[0-9]{1,18})?|1(\.0{1,18})?)$";
/// What a level of confidence looks like: from 0.5 to less than 1.
pub const CONFIDENCE_PATTERN: &str = r"^0\.[5-9][0-9]{0,5}$";
/// What a quantity that is not negative looks like, in Kubernetes' notation.
pub const QUANTITY_PATTERN: &str = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";
/// What a duration looks like: Kubernetes' notation in whole units.
pub const DURATION_PATTERN: &str = "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$";
/// The schemes that data may come by. A key may have blanks; a web address may have a query.
pub const URI_PATTERN: &str =
    r"^(s3://[^\x00-\x20/?#@\\]+/[^\x00-\x1f?#\\]*|https?://[^\x00-\x20/?#@\\]+/[^\x00-\x1f#\\]*)$";
/// What a host looks like: a name with or without a port, or `*` for the first label of a name of three or more.
pub const HOST_PATTERN: &str = r"^(\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(:[1-9][0-9]{0,4})?$";
/// What the text of a variable or argument looks like: a NUL ends a text for the operating system, so that none can hold
/// it.
pub const TEXT_PATTERN: &str = r"^[^\x00]*$";
/// What separates or quotes the values of a CSV file: one character of ASCII that no value is made of.
pub const SEPARATOR_PATTERN: &str = r"^[\t!-/:-@\[-`{-~ ]$";
/// What a word of printable ASCII looks like: an image, a path of HTTP.
pub const WORD_PATTERN: &str = "^[!-~]+$";
/// What a digest looks like.
pub const DIGEST_PATTERN: &str = "^sha256:[0-9a-f]{64}$";
/// The beginnings of environment variables' names that Seatrial sets itself.
pub const RESERVED_ENV_PREFIXES: &[&str] = &["PARAM_", "VALUE_", "INPUT_", "OUTPUT_", "RUN_", "SEATRIAL_"];
