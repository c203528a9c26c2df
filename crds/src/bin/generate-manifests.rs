//! Writes the CustomResourceDefinitions into the folders that are named: one file for each kind.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let folders: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    if folders.is_empty() {
        return Err("usage: generate-manifests FOLDER...".into());
    }
    for folder in folders {
        std::fs::create_dir_all(&folder)?;
        for manifest in seatrial_crds::manifests::all()? {
            std::fs::write(folder.join(format!("{}.yaml", manifest.plural)), manifest.yaml()?)?;
        }
    }
    Ok(())
}
