use crate::process::run;

#[tokio::test]
async fn a_bad_setting_ends_the_start_with_its_name_and_what_is_allowed() {
    let (code, message) = run(&["serve", "--claim-timeout", "never"], &[]).await;
    assert_eq!(code, Some(2));
    assert_eq!(
        message,
        "taskyard: --claim-timeout: claim-timeout = \"never\" is not allowed; \
         expected a duration from 1s to 24h, such as 20m\n"
    );
}

#[tokio::test]
async fn a_bad_variable_ends_the_start_as_well() {
    let (code, message) = run(&["serve"], &[("TASKYARD_LOG_FORMAT", "xml")]).await;
    assert_eq!(code, Some(2));
    assert!(
        message.starts_with("taskyard: TASKYARD_LOG_FORMAT: log-format"),
        "{message}"
    );
}

#[tokio::test]
async fn dev_does_not_start_where_others_could_reach_it() {
    let (code, message) = run(&["serve", "--dev", "--listen", "0.0.0.0:0"], &[]).await;
    assert_eq!(code, Some(2));
    assert!(message.contains("loopback"), "{message}");
}

#[tokio::test]
async fn an_unknown_option_is_refused_with_a_hint() {
    let (code, message) = run(&["serve", "--lissten", "127.0.0.1:0"], &[]).await;
    assert_eq!(code, Some(2));
    assert!(message.contains("--listen"), "{message}");
}
