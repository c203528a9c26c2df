//! Writes what follows from the types: the CustomResourceDefinitions into the folders that are named, one file for each
//! kind, and the API's reference into the file that is named.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let targets: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    if targets.is_empty() {
        return Err("usage: generate-manifests FOLDER... REFERENCE.md".into());
    }
    for target in targets {
        if target.extension().is_some_and(|extension| extension == "md") {
            std::fs::write(target, seatrial_crds::reference::markdown()?)?;
            continue;
        }
        std::fs::create_dir_all(&target)?;
        for manifest in seatrial_crds::manifests::all()? {
            std::fs::write(target.join(format!("{}.yaml", manifest.plural)), manifest.yaml()?)?;
        }
    }
    Ok(())
}
