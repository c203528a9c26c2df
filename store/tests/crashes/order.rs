//! What is on the disk before the store says so.

use std::process::Command;

use tempfile::TempDir;

use crate::support::process::Process;
use crate::support::trace::{self, Call, after, is_between};
use crate::support::{Raw, Served, keys};

const TRACED: &str =
    "trace=openat,fsetxattr,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,write,writev,sendto,sendmsg";

/// The SHA-256 of the body that is put; it is on the disk with it.
const SUM: &str = "hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=";

fn put(target: &str) -> Raw<'_> {
    Raw::new("PUT", target).header("x-amz-checksum-sha256", SUM).body(b"0123456789")
}

/// A killed process loses nothing that its kernel has, so that no other test sees what is on the disk. This one asks
/// what the kernel was asked, and when: before an answer, first the content and then the name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs strace, to see what the program asks of its kernel"]
async fn what_is_confirmed_was_on_the_disk_before() {
    let strace = Command::new("strace").arg("-V").output();
    assert!(strace.is_ok(), "this test cannot run without strace: apt-get install strace");
    let (data, talk) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let log = talk.path().join("trace");
    // With -yy, each descriptor comes with its path, or its connection.
    let wrapper = ["strace", "-f", "-yy", "-qq", "-s", "0", "-e", TRACED, "-o", log.to_str().unwrap()];
    let mut store = Process::start(data.path(), &wrapper).await;
    let growth = keys(&store, "growth").await;
    for request in [put("/growth/new/put"), put("/growth/new/create").header("if-none-match", "*")] {
        assert_eq!(request.send_signed(&store, &growth).await.status, 200);
    }
    assert_eq!(put("/growth/new/again").send_signed(&store, &growth).await.status, 200);
    let begun = Raw::new("POST", "/growth/other/parts?uploads=").send_signed(&store, &growth).await;
    let id = begun.body.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    for number in [1, 2] {
        let target = format!("/growth/other/parts?partNumber={number}&uploadId={id}");
        assert_eq!(put(&target).send_signed(&store, &growth).await.status, 200);
    }
    let list = "<Part><PartNumber>1</PartNumber></Part><Part><PartNumber>2</PartNumber></Part>";
    let list = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
    let target = format!("/growth/other/parts?uploadId={id}");
    let complete = Raw::new("POST", &target).body(list.as_bytes());
    assert_eq!(complete.send_signed(&store, &growth).await.status, 200);
    let port = store.address().port();
    let late = put("/growth/new/create").header("if-none-match", "*").send_signed(&store, &growth).await;
    assert_eq!(late.status, 412);
    store.kill();

    let calls = trace::calls(&log);
    let path = |name: &str| data.path().join(name).display().to_string();
    let of = |name: &str| format!("<{}>)", path(name).trim_end_matches('/'));
    let answer = format!("TCP:[127.0.0.1:{port}->");
    assert!(calls.iter().any(|call| call.text.starts_with("fsetxattr")), "no sum was kept");
    // The name that each gets, and the folders that are made for it.
    for (name, made) in [
        ("objects/growth.0/dnew/fput", vec!["objects", "objects/growth.0"]),
        ("objects/growth.0/dnew/fcreate", vec![]),
        ("objects/growth.0/dother/fparts", vec!["objects/growth.0"]),
    ] {
        let named = after(&calls, 0, &[&format!("{}\"", path(name))]);
        let draft = named.text.split('"').nth(1).unwrap();
        let is_change = |call: &&Call| {
            call.end < named.start && call.text.contains(draft) && !call.text.contains("sync(") && !is_reading(call)
        };
        let changed = calls.iter().rfind(is_change).unwrap().end;
        let content = [&format!("<{draft}>)")[..], "sync("];
        assert!(is_between(&calls, changed, named.start, &content), "{name}: its content was not on the disk");
        // The first that the client is told from then on.
        let answered = after(&calls, changed, &[&answer]).start;
        let parent = name.rsplit_once('/').unwrap().0;
        assert!(
            is_between(&calls, named.end, answered, &["sync(", &of(parent)]),
            "{name}: its name was not on the disk"
        );
        for folder in made {
            assert!(is_between(&calls, 0, answered, &["sync(", &of(folder)]), "{name}: {folder} was not on the disk");
        }
        println!("{name}: last change in line {changed}, name in {}, answer in {answered}", named.start);
    }
    // A small object in a folder that is known costs two waits for the disk, of which others share the second, and one
    // change of a name.
    let named = after(&calls, 0, &["rename", &format!("{}\"", path("objects/growth.0/dnew/fagain"))]);
    let draft = named.text.split('"').nth(1).unwrap();
    let made = after(&calls, 0, &["openat", draft]).start;
    let told = after(&calls, named.end, &[&answer]).start;
    let cost = |what: &str| {
        calls.iter().filter(|call| call.start >= made && call.end < told && call.text.contains(what)).count()
    };
    assert_eq!((cost("sync("), cost("rename")), (2, 1));
    // Whoever comes too late is told so once the winner's name is on the disk, whoever put it there.
    let refused =
        calls.iter().rfind(|call| call.text.contains("= -1 EEXIST") && call.text.contains("fcreate")).unwrap();
    let told = after(&calls, refused.end, &[&answer]).start;
    assert!(is_between(&calls, refused.end, told, &["sync(", &of("objects/growth.0/dnew")]), "the loser was too fast");
    // The whole becomes an object after the plan says of what, with all names that the plan rests on.
    let plan = after(&calls, 0, &["rename", &format!("/{id}/plan\"")]);
    let named = after(&calls, 0, &["rename", &format!("/{id}/whole\""), "fparts\""]);
    assert!(is_between(&calls, 0, plan.start, &["sync(", "/plan.new>"]), "the plan was not on the disk");
    assert!(is_between(&calls, plan.end, named.start, &["sync(", &of(&format!("uploads/{id}"))]));
    // A part is confirmed once it is on the disk, in its place.
    for number in [1, 2] {
        let kept = after(&calls, 0, &["rename", &format!("/{id}/placed-{number}\"")]);
        let written = calls.iter().rfind(|call| {
            call.end < kept.start && call.text.starts_with("write(") && call.text.contains(&format!("/{id}/whole>"))
        });
        let whole = format!("/{id}/whole>");
        assert!(is_between(&calls, written.unwrap().end, kept.start, &["sync(", &whole]), "the part {number} was not");
    }
    // The secrets of a new volume are on the disk before anybody learns of them.
    let first_answer = after(&calls, 0, &[&answer]).start;
    for secret in ["hmac.key", "ca.key", "ca.crt"] {
        let named = after(&calls, 0, &["rename", &format!("{}\"", path(&format!("authority/{secret}")))]).end;
        assert!(is_between(&calls, named, first_answer, &["sync(", &of("authority")]), "{secret} was not on the disk");
    }
    assert!(is_between(&calls, 0, first_answer, &["sync(", &of("")]), "the folders of the volume were not on the disk");
}

fn is_reading(call: &Call) -> bool {
    call.text.starts_with("openat") && call.text.contains("O_RDONLY")
}
