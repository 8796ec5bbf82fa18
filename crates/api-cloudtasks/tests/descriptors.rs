//! The compiled descriptors are what `proto/` says. To compile them after a change:
//! `TASKYARD_COMPILE_PROTO=1 cargo test -p taskyard-api-cloudtasks --test descriptors`.

use std::path::Path;

const ROOTS: [&str; 7] = [
    "google/cloud/tasks/v2/cloudtasks.proto",
    "google/cloud/tasks/v2beta3/cloudtasks.proto",
    "google/cloud/tasks/v2beta2/cloudtasks.proto",
    "google/cloud/location/locations.proto",
    "google/longrunning/operations.proto",
    "google/rpc/error_details.proto",
    "taskyard/cloudtasks/v1/history.proto",
];

#[test]
fn the_descriptors_are_compiled_from_the_definitions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([&folder]).expect("the folder is there");
    compiler.include_source_info(false).include_imports(true);
    for root in ROOTS {
        if let Err(error) = compiler.open_file(root) {
            panic!("{root}: {error:?}");
        }
    }
    let compiled = compiler.encode_file_descriptor_set();
    let file = folder.join("descriptors.binpb");
    if std::env::var_os("TASKYARD_COMPILE_PROTO").is_some() {
        std::fs::write(&file, &compiled).expect("the file can be written");
    }
    let kept = std::fs::read(&file).unwrap_or_default();
    assert!(
        kept == compiled,
        "proto/ has changed: compile it as the first lines of this test say"
    );
}
