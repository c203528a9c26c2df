//! Tables for tests, and what is measured of them.

use seatrial_core::contract::{JUDGE_VERSION, JudgeConfig, JudgeMessage, LabelsConfig, Measured};
use seatrial_crds::{Task, TaskType};
use tempfile::TempDir;

use crate::measured;
use crate::problem::Problem;

/// Files of a judge, and its config.
pub(crate) struct Tables {
    folder: TempDir,
    pub(crate) config: JudgeConfig,
}

impl Tables {
    /// A binary classification whose positive label is 1; labels stand beside the predictions.
    pub(crate) fn new(predictions: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions");
        std::fs::write(&path, predictions).unwrap();
        let config = JudgeConfig {
            version: JUDGE_VERSION,
            task: Task { kind: TaskType::BinaryClassification, positive_label: Some("1".into()), positive_means: None },
            predictions: path.to_str().unwrap().into(),
            labels: None,
            slices: vec![],
            duel: None,
        };
        Self { folder, config }
    }

    /// With labels of the owner's, in columns `customer` and `left`.
    pub(crate) fn labels(mut self, labels: impl AsRef<[u8]>) -> Self {
        let folder = self.folder.path().join("labels");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("any name"), labels).unwrap();
        let folder = folder.to_str().unwrap().into();
        self.config.labels = Some(LabelsConfig { folder, id: "customer".into(), label: "left".into() });
        self
    }

    pub(crate) fn slices(mut self, slices: &[&str]) -> Self {
        self.config.slices = slices.iter().map(|slice| (*slice).to_owned()).collect();
        self
    }

    pub(crate) fn positive(mut self, label: &str) -> Self {
        self.config.task.positive_label = Some(label.into());
        self
    }

    pub(crate) fn regression(mut self) -> Self {
        self.config.task = Task { kind: TaskType::Regression, positive_label: None, positive_means: None };
        self
    }

    /// What is measured, as it comes out of the message.
    pub(crate) fn measured(&self) -> Measured {
        let message = JudgeMessage::Measured(measured(&self.config).unwrap_or_else(|why| panic!("{why}")));
        let text = message.to_json();
        assert_eq!(JudgeMessage::parse(&text).as_ref(), Ok(&message), "{text}");
        let JudgeMessage::Measured(measured) = message else { panic!("{text}") };
        measured
    }

    /// Why it is unusable.
    pub(crate) fn unusable(&self) -> String {
        match measured(&self.config) {
            Err(Problem::Unusable(why)) => why,
            other => panic!("usable: {other:?}"),
        }
    }
}

/// The value of a metric.
pub(crate) fn value<'a>(measured: &'a Measured, name: &str) -> Option<&'a str> {
    measured.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value.as_str())
}

/// The standard error of a metric.
pub(crate) fn error<'a>(measured: &'a Measured, name: &str) -> Option<&'a str> {
    measured.metrics.iter().find(|metric| metric.name == name)?.standard_error.as_deref()
}
