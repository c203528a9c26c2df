//! Writes the CustomResourceDefinitions into the folder that is named: one file for each kind.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: generate-manifests FOLDER")?);
    std::fs::create_dir_all(&folder)?;
    for manifest in seatrial_crds::manifests::all()? {
        std::fs::write(folder.join(format!("{}.yaml", manifest.plural)), manifest.yaml()?)?;
    }
    Ok(())
}
