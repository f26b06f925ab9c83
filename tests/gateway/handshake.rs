//! Handshakes as a real `openssl` makes them: protocols, versions, names, no early data.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::{Setup, TestGateway, TestUpstream};

/// What `openssl s_client` says of a handshake with these arguments.
fn openssl(gateway: &TestGateway, arguments: &[&str]) -> String {
    let ca = gateway.setup.policies().with_file_name("certs").join("dev-ca.pem");
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &gateway.address.to_string(), "-CAfile"]).arg(ca).args(arguments);
    if !arguments.contains(&"-servername") && !arguments.contains(&"-noservername") {
        command.args(["-servername", "localhost"]);
    }
    // It reads until the gateway closes: by then the tickets of TLS 1.3 have come, which would offer early data.
    command.arg("-ign_eof").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("openssl is installed");
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // Where the handshake fails, nobody takes it.
    drop(child.stdin.take().expect("piped").write_all(request.as_bytes()));
    let output = child.wait_with_output().expect("output");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn protocols_are_settled_strictly() {
    let upstream = TestUpstream::start().await;
    let gateway = Setup::acme(upstream.address).start();
    let check = |alpn: &[&str], expected: &str| {
        for version in ["-tls1_2", "-tls1_3"] {
            let text = openssl(&gateway, &[&[version], alpn].concat());
            assert!(text.contains(expected), "{version} {alpn:?}: {text}");
        }
    };
    check(&["-alpn", "h2"], "ALPN protocol: h2");
    check(&["-alpn", "http/1.1"], "ALPN protocol: http/1.1");
    // Ours is the preference, whatever the client's order.
    check(&["-alpn", "http/1.1,h2"], "ALPN protocol: h2");
    check(&["-alpn", "spdy/3.1,http/1.1"], "ALPN protocol: http/1.1");
    check(&[], "No ALPN negotiated");
    for strange in ["h3", "spdy/3.1", "http/1.0", "H2", "h2c", "acme-tls/1"] {
        check(&["-alpn", strange], "alert no application protocol");
    }
}

#[tokio::test]
async fn what_is_old_weak_or_early_is_not_to_be_had() {
    let upstream = TestUpstream::start().await;
    let gateway = Setup::acme(upstream.address).start();
    let fails = |arguments: &[&str]| {
        let text = openssl(&gateway, arguments);
        assert!(text.contains("Cipher is (NONE)"), "{arguments:?}: {text}");
    };
    fails(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    fails(&["-tls1", "-cipher", "ALL:@SECLEVEL=0"]);
    fails(&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"]);
    fails(&["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"]);
    fails(&["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"]);
    fails(&["-servername", "other.example"]);
    let text = openssl(&gateway, &["-tls1_3"]);
    assert!(text.contains("Max Early Data: 0"), "{text}");
    assert!(openssl(&gateway, &["-tls1_2"]).contains("Extended master secret: yes"));
    assert!(openssl(&gateway, &["-tls1_2"]).contains("Secure Renegotiation IS supported"));
}

#[tokio::test]
async fn of_two_pairs_for_one_name_each_client_sees_the_first_that_it_can_verify() {
    let upstream = TestUpstream::start().await;
    let pair = |name: &str| format!("{{ certificate = \"../certs/{name}.pem\", key = \"../certs/{name}-key.pem\" }}");
    let pairs = ["dev", "rsa", "hidden"].map(pair).join(", ");
    let setup = Setup::acme(upstream.address).listens(&format!("address = \"127.0.0.1:0\"\ncertificates = [{pairs}]"));
    setup.write();
    let certs = setup.policies().with_file_name("certs");
    for (name, bits) in [("rsa", "2048"), ("hidden", "3072")] {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "30", "-subj", &format!("/CN={name}"), "-newkey"])
            .arg(format!("rsa:{bits}"))
            .args(["-addext", "subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1,IP:::1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-out")
            .arg(certs.join(format!("{name}.pem")))
            .arg("-keyout")
            .arg(certs.join(format!("{name}-key.pem")))
            .output()
            .expect("openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let mut gateway = setup.start();
    let told = gateway.log();
    assert_eq!(told.matches("no client sees this certificate").count(), 1, "{told}");
    assert!(told.lines().any(|line| line.contains("no client sees") && line.contains("hidden.pem")), "{told}");
    for (arguments, kind) in [
        (&["-tls1_3"][..], "ECDSA"),
        (&["-tls1_2"], "ECDSA"),
        (&["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], "RSA"),
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "RSA"),
        (&["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256", "-noservername"], "RSA"),
    ] {
        let text = openssl(&gateway, arguments);
        assert_eq!(
            text.contains("subject=CN=rsa") || text.contains("subject=CN = rsa"),
            kind == "RSA",
            "{arguments:?}: {text}"
        );
        // The request is answered by the names of the certificate, whichever it is.
        assert!(text.contains("HTTP/1.1 404") || text.contains("HTTP/1.1 403"), "{arguments:?}: {text}");
    }
}
