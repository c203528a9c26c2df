//! Joining the parts of an upload: only what is not in its place is copied, and a crash loses nothing.

use std::fs::{self, File};

use s3s::dto::{CompletedPart, ETag};
use tempfile::TempDir;

use super::join::{Failure, Joined};
use super::parts::{self, Record, part_file, whole_file};
use super::plan::Plan;

const SLOT: u64 = 7;

/// An upload of parts of these sizes, of which some are in their places, and what it is all together.
fn upload(sizes: &[usize], is_placed: impl Fn(usize) -> bool) -> (TempDir, Vec<CompletedPart>, Vec<u8>) {
    let folder = TempDir::new().unwrap();
    let (mut asked, mut whole) = (vec![], vec![]);
    for (index, size) in sizes.iter().enumerate() {
        let number = i32::try_from(index).unwrap() + 1;
        let content = vec![b'a' + u8::try_from(index).unwrap(); *size];
        if is_placed(index) {
            write(&folder, &content, SLOT * index as u64);
            let e_tag = ETag::Strong(format!("placed {number}"));
            let record = Record { slot: SLOT, size: *size as u64, e_tag, sum: None };
            parts::keep(folder.path(), number, &record).unwrap();
        } else {
            fs::write(part_file(folder.path(), number), &content).unwrap();
        }
        let e_tag = Some(parts::find(folder.path(), number).unwrap().unwrap().e_tag);
        asked.push(CompletedPart { part_number: Some(number), e_tag, ..CompletedPart::default() });
        whole.extend(content);
    }
    (folder, asked, whole)
}

/// Writes to the whole.
fn write(folder: &TempDir, content: &[u8], start: u64) {
    let whole = File::options().create(true).truncate(false).write(true).open(whole_file(folder.path())).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&whole, content, start).unwrap();
}

fn planned(sizes: &[usize], is_placed: impl Fn(usize) -> bool) -> (TempDir, Vec<CompletedPart>, Vec<u8>) {
    let (folder, asked, whole) = upload(sizes, is_placed);
    Plan::make(folder.path(), &asked).unwrap().keep(folder.path()).unwrap();
    (folder, asked, whole)
}

/// What a client gets that asks, or asks again after a crash, and how many bytes were copied for it.
fn join(folder: &TempDir, asked: &[CompletedPart]) -> Option<(Vec<u8>, u64)> {
    let plan = Plan::read(folder.path()).unwrap().expect("the plan was made");
    assert!(plan.is_for(asked));
    match plan.join(folder.path()) {
        Ok(Joined { file, size, copied }) => {
            let content = fs::read(file).unwrap();
            assert_eq!(content.len() as u64, size);
            Some((content, copied))
        }
        Err(Failure::Lost) => None,
        Err(Failure::Storage(error)) => panic!("{error}"),
    }
}

#[test]
fn only_what_is_not_in_its_place_is_copied() {
    for (sizes, placed, expected) in [
        (&[7, 7, 7, 3][..], &[0, 1, 2, 3][..], 0),
        (&[7, 7, 7, 3], &[0, 2, 3], 7),
        (&[7, 7, 7, 3], &[], 24),
        (&[7, 7, 7, 30], &[0, 1, 2], 30),
        (&[7], &[0], 0),
        // Parts that are shorter than the first and not the last are in wrong places.
        (&[7, 5, 7, 3], &[0, 1, 2, 3], 22),
        (&[7, 5, 9, 3], &[0, 1], 12),
    ] {
        let (folder, asked, whole) = planned(sizes, |index| placed.contains(&index));
        // What is in the places that nobody asks for.
        write(&folder, b"?", 1000);
        assert_eq!(join(&folder, &asked), Some((whole.clone(), expected)), "{sizes:?} {placed:?}");
        assert_eq!(join(&folder, &asked).unwrap().0, whole, "again");
    }
}

/// All that a crash can leave, for each choice of parts in their places: so many of the others counted as copied, of
/// them so many removed, in any order, and those that come next torn, or not.
#[test]
fn a_join_goes_on_wherever_a_crash_came() {
    const SIZES: [usize; 5] = [7, 7, 7, 7, 2];
    for placed in 0..1_u32 << SIZES.len() {
        let others: Vec<usize> = (0..SIZES.len()).filter(|index| placed >> index & 1 == 0).collect();
        for held in 0..=others.len() {
            for removed in 0..1_u32 << held {
                for torn in [false, true] {
                    let (folder, asked, whole) = planned(&SIZES, |index| placed >> index & 1 == 1);
                    for index in others.iter().take(held) {
                        write(&folder, &vec![whole[index * 7]; SIZES[*index]], *index as u64 * SLOT);
                    }
                    for index in others.iter().skip(held).filter(|_| torn) {
                        write(&folder, b"?", *index as u64 * SLOT);
                    }
                    if held > 0 {
                        fs::write(folder.path().join("copied"), held.to_string()).unwrap();
                    }
                    for (_, index) in others.iter().enumerate().filter(|(place, _)| removed >> place & 1 == 1) {
                        fs::remove_file(part_file(folder.path(), i32::try_from(*index).unwrap() + 1)).unwrap();
                    }
                    let content = join(&folder, &asked).map(|(content, _)| content);
                    let state = format!("{placed:b} in place, {held} held, {removed:b} removed, torn: {torn}");
                    assert_eq!(content.as_deref(), Some(&*whole), "{state}");
                    // The same again, since no answer came.
                    assert_eq!(join(&folder, &asked).unwrap().0, whole, "{state}");
                }
            }
        }
    }
}

#[test]
fn a_copy_that_a_crash_cut_off_is_made_anew_and_a_complete_one_stays() {
    let (folder, asked, whole) = planned(&[7, 5, 7, 3], |_| true);
    fs::write(folder.path().join("gathered.new"), "half").unwrap();
    assert_eq!(join(&folder, &asked), Some((whole.clone(), 22)));
    // It is the object now, and the client asks again.
    let before = fs::metadata(folder.path().join("gathered")).unwrap().modified().unwrap();
    assert_eq!(join(&folder, &asked), Some((whole, 0)));
    assert_eq!(fs::metadata(folder.path().join("gathered")).unwrap().modified().unwrap(), before);
}

#[test]
fn what_does_not_add_up_is_given_up() {
    for is_placed in [true, false] {
        let plan = || planned(&[7, 7, 3], |_| is_placed);
        // It was completed, and the whole has another name.
        let (folder, asked, _) = plan();
        assert!(join(&folder, &asked).is_some());
        fs::remove_file(whole_file(folder.path())).unwrap();
        assert_eq!(join(&folder, &asked), None);
        // The whole lost what is in its place, or what its parts were removed for.
        let (folder, asked, _) = plan();
        fs::write(folder.path().join("copied"), "3").unwrap();
        File::options().write(true).open(whole_file(folder.path())).unwrap().set_len(9).unwrap();
        assert_eq!(join(&folder, &asked), None);
    }
    // A part is gone, or another than it was.
    let (folder, asked, _) = planned(&[7, 7, 3], |index| index == 0);
    fs::remove_file(part_file(folder.path(), 2)).unwrap();
    assert_eq!(join(&folder, &asked), None);
    for content in ["", "longer than it was"] {
        let (folder, asked, _) = planned(&[7, 7, 3], |index| index == 0);
        fs::write(part_file(folder.path(), 3), content).unwrap();
        assert_eq!(join(&folder, &asked), None);
    }
}

#[test]
fn a_plan_is_made_of_parts_that_are_there_in_their_order() {
    let (folder, asked, _) = upload(&[7, 7, 7, 2], |index| index % 2 == 0);
    let refused = |asked: &[CompletedPart]| Plan::make(folder.path(), asked).unwrap_err().code().as_str().to_owned();
    assert_eq!(refused(&[]), "MalformedXML");
    assert_eq!(refused(&[asked[1].clone(), asked[0].clone()]), "InvalidPartOrder");
    assert_eq!(refused(&[asked[0].clone(), asked[0].clone()]), "InvalidPartOrder");
    let another = CompletedPart { e_tag: asked[1].e_tag.clone(), ..asked[0].clone() };
    let absent = CompletedPart { part_number: Some(9), ..asked[0].clone() };
    for parts in [[another], [absent], [CompletedPart::default()]] {
        assert_eq!(refused(&parts), "InvalidPart", "{parts:?}");
    }
    let plan = Plan::make(folder.path(), &asked[1..3]).unwrap();
    assert!(plan.is_for(&asked[1..3]) && !plan.is_for(&asked[..2]) && !plan.is_for(&asked[1..2]));
}
