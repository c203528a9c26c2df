//! The manifests in the tree are those of the types, and stay small enough for client-side apply.

use std::path::Path;

#[test]
fn manifests_in_the_tree_are_those_of_the_types() {
    let manifests = seatrial_crds::manifests::all().unwrap();
    for folder in ["manifests", "../charts/seatrial/files/crds"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for manifest in &manifests {
            let file = folder.join(format!("{}.yaml", manifest.plural));
            let found = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(found == manifest.yaml().unwrap(), "{} is out of date: run `make generate`", file.display());
        }
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), manifests.len(), "a manifest without a type: remove it");
    }
}

#[test]
fn the_reference_in_the_tree_is_that_of_the_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/api.md");
    let found = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        found == seatrial_crds::reference::markdown().unwrap(),
        "docs/reference/api.md is out of date: run `make generate`"
    );
}

/// `kubectl apply` keeps the whole object in an annotation, and annotations may take 256 KiB together.
#[test]
fn manifests_stay_under_256_kib() {
    for manifest in seatrial_crds::manifests::all().unwrap() {
        let size = serde_json::to_string(&manifest.value).unwrap().len();
        println!("{}: {size} bytes", manifest.plural);
        assert!(size < 256 * 1024, "{} takes {size} bytes", manifest.plural);
    }
}
