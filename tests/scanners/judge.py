#!/usr/bin/env python3
"""What the scanners found, against what they may find. `tests/scanners/run` calls it with the folder of their results.

Three servers: `gateway` is ours, `old` an nginx of TLS 1.0 and 1.1 alone, `all` an nginx that takes whatever OpenSSL has. The weak ones are there
so that no rule here passes because a scanner saw nothing: what is asked of the gateway must fail for them.
"""

import json
import sys
from pathlib import Path

# What a certificate for development explains, by testssl's id.
ALLOWED = {
    "cert_revocation": "an authority for development publishes no revocations",
}

# Severities of testssl that count, and those that are the tool's own business (`WARN`: it lacks an engine for GOST).
SEVERE = {"MEDIUM", "HIGH", "CRITICAL", "FATAL"}

# Without these testssl has not looked: protocols, ciphers, server defaults, headers, known attacks.
LOOKED_AT = {
    "SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3", "ALPN_HTTP2",
    "cipherlist_NULL", "cipherlist_aNULL", "cipherlist_EXPORT", "cipherlist_LOW", "cipherlist_3DES_IDEA", "cipherlist_STRONG",
    "PFS", "PFS_ciphers", "cipher_order", "protocol_negotiated",
    "cert_signatureAlgorithm", "cert_keySize", "cert_trust", "cert_chain_of_trust", "cert_expirationStatus", "cert_notAfter",
    "HTTP_status_code", "HSTS_time", "banner_server", "X-Content-Type-Options", "Referrer-Policy",
    "heartbleed", "CCS", "ticketbleed", "ROBOT", "secure_renego", "secure_client_renego", "CRIME_TLS", "BREACH", "POODLE_SSL", "fallback_SCSV",
    "FREAK", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4",
}  # fmt: skip
FINDINGS_MIN = 80

# Without these sslyze has not looked.
COMMANDS = {
    "certificate_info", "ssl_2_0_cipher_suites", "ssl_3_0_cipher_suites", "tls_1_0_cipher_suites", "tls_1_1_cipher_suites",
    "tls_1_2_cipher_suites", "tls_1_3_cipher_suites", "tls_compression", "tls_1_3_early_data", "openssl_ccs_injection", "heartbleed",
    "robot", "session_renegotiation", "elliptic_curves", "http_headers", "tls_extended_master_secret",
}  # fmt: skip
REJECTED_MIN = 100

VERSIONS = {"SSL 3": "ssl_3_0", "TLS 1.0": "tls_1_0", "TLS 1.1": "tls_1_1", "TLS 1.2": "tls_1_2", "TLS 1.3": "tls_1_3"}

# What testssl.sh 3.3dev says of the weak server (`overall_grade`, June 2026, with the same authority). The 3.0 of Debian 12 has no rating; where
# the installed one has, its word counts instead.
RECORDED_GRADES = {"gateway": "A+", "old": "C"}

problems = []


def expect(holds, words):
    print(("ok      " if holds else "FAILED  ") + words)
    if not holds:
        problems.append(words)


def load(folder, name):
    path = folder / f"{name}.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        text = folder / f"{name}.txt"
        told = text.read_text()[-2000:] if text.exists() else ""
        sys.exit(f"FAILED  no result in {path.name}: {error}\n{told}")


def severe(findings):
    return sorted({f"{one['id']} ({one['severity']}): {one['finding']}" for one in findings if one["severity"] in SEVERE and one["id"] not in ALLOWED})


def of_testssl(findings):
    """Whether testssl saw what we have a code for."""
    told = {}
    for one in findings:
        told.setdefault(one["id"], one)

    def says(name, words):
        return words in told[name]["finding"] if name in told else None

    def not_ok(name):
        # `WARN`: it could not find out.
        return told[name]["severity"] != "OK" if name in told and told[name]["severity"] != "WARN" else None

    offered = {name: not says(name, "not offered") for name in ("SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3")}
    return {
        "ssl3": offered["SSLv3"],
        "tls10": offered["TLS1"],
        "tls11": offered["TLS1_1"],
        "no_tls12": not (offered["TLS1_2"] or offered["TLS1_3"]),
        "no_tls13": not offered["TLS1_3"],
        "null_cipher": not_ok("cipherlist_NULL"),
        "anonymous": not_ok("cipherlist_aNULL"),
        "export": not_ok("cipherlist_EXPORT"),
        "no_aead": not_ok("cipherlist_STRONG"),
        "no_forward_secrecy": not_ok("PFS"),
        # Not `SWEET32`: testssl.sh 3.0 calls that finding `CRIME_TLS`, like the one before it.
        "small_blocks": not says("cipherlist_3DES_IDEA", "not offered"),
        "rc4": not_ok("RC4"),
        "compression": not_ok("CRIME_TLS"),
        "renegotiation": not_ok("secure_renego"),
        "untrusted": not_ok("cert_chain_of_trust"),
        "expired": not_ok("cert_expirationStatus"),
        "no_hsts": "HSTS_time" not in told or not_ok("HSTS_time"),
    }


def of_ours(server):
    codes = {finding["code"] for finding in server["findings"]}
    # No answer over HTTPS is no HSTS either; who vouches for nobody is not believed.
    if codes & {"hsts_unknown", "hsts_short", "hsts_off", "hsts_malformed"}:
        codes.add("no_hsts")
    if codes & {"self_signed", "chain"}:
        codes.add("untrusted")
    return codes


def suites_of_sslyze(result):
    """The suites that were accepted, by version."""
    accepted = {}
    for version, name in VERSIONS.items():
        suites = result[f"{name}_cipher_suites"]["result"]["accepted_cipher_suites"]
        if suites:
            accepted[version] = {suite["cipher_suite"]["name"] for suite in suites}
    return accepted


def openssl_names(result):
    """What OpenSSL calls suites, by what IANA calls them."""
    scans = [result[f"{name}_cipher_suites"]["result"] for name in VERSIONS.values()]
    suites = [one["cipher_suite"] for scan in scans for one in scan["accepted_cipher_suites"] + scan["rejected_cipher_suites"]]
    return {suite["name"]: suite["openssl_name"] for suite in suites}


def suites_of_ours(server):
    return {offer["version"]: set(offer["suites"]) for offer in server["offers"]}


def main(folder):
    ours = {name: load(folder, f"ours-{name}")["servers"][0] for name in ("gateway", "old", "all")}
    testssl = {name: load(folder, f"testssl-{name}") for name in ("gateway", "old")}
    sslyze = {name: load(folder, f"sslyze-{name}")["server_scan_results"][0] for name in ("gateway", "old", "all")}
    verdicts = {name: (folder / f"sslyze-{name}.txt").read_text() for name in sslyze}

    # sslyze: it looked, and says that we comply.
    results = {name: result["scan_result"] for name, result in sslyze.items()}
    for name, result in results.items():
        undone = sorted(command for command in COMMANDS if result.get(command, {}).get("status") != "COMPLETED")
        expect(sslyze[name]["scan_status"] == "COMPLETED" and not undone, f"sslyze has looked at all of {name}{undone or ''}")
    gateway = results["gateway"]
    rejected = sum(len(gateway[f"{version}_cipher_suites"]["result"]["rejected_cipher_suites"]) for version in VERSIONS.values())
    expect(rejected >= REJECTED_MIN, f"sslyze: the gateway refuses {rejected} suites, {REJECTED_MIN} at least")
    expect("OK - Compliant" in verdicts["gateway"], "sslyze: the gateway complies with Mozilla's intermediate recommendations")
    for name in ("old", "all"):
        expect("FAILED - Not compliant" in verdicts[name], f"sslyze: {name} does not")
    deployment = gateway["certificate_info"]["result"]["certificate_deployments"][0]
    believed = [one["was_validation_successful"] for one in deployment["path_validation_results"] if one["trust_store"]["name"] == "Supplied CA file"]
    expect(believed == [True], "sslyze: the chain holds for whoever knows its authority")
    bad = {
        "compression": gateway["tls_compression"]["result"]["supports_compression"],
        "early data": gateway["tls_1_3_early_data"]["result"]["supports_early_data"],
        "CCS injection": gateway["openssl_ccs_injection"]["result"]["is_vulnerable_to_ccs_injection"],
        "Heartbleed": gateway["heartbleed"]["result"]["is_vulnerable_to_heartbleed"],
        "renegotiation by the client": gateway["session_renegotiation"]["result"]["is_vulnerable_to_client_renegotiation_dos"],
        "no safe renegotiation": not gateway["session_renegotiation"]["result"]["supports_secure_renegotiation"],
        "no extended master secret": not gateway["tls_extended_master_secret"]["result"]["supports_ems_extension"],
        "ROBOT": not gateway["robot"]["result"]["robot_result"].startswith("NOT_VULNERABLE"),
    }
    expect(not any(bad.values()), f"sslyze: none of {', '.join(bad)}{sorted(name for name in bad if bad[name]) or ''}")
    hsts = gateway["http_headers"]["result"]["strict_transport_security_header"] or {}
    expect(hsts.get("max_age", 0) >= 15_552_000, "sslyze: HSTS for 180 days at least")

    # testssl.sh: it looked, and found nothing of medium severity that is not explained.
    for name, findings in testssl.items():
        ids = {one["id"] for one in findings}
        expect(len(findings) >= FINDINGS_MIN or name != "gateway", f"testssl has looked: {len(findings)} findings about {name}")
        missing = sorted(LOOKED_AT - ids) if name == "gateway" else []
        expect(not missing, f"testssl has looked at all that is asked{missing or ''}")
    found = severe(testssl["gateway"])
    expect(not found, f"testssl: nothing of medium severity or worse{found or ''}")
    stale = sorted(name for name in ALLOWED if not any(one["id"] == name and one["severity"] in SEVERE for one in testssl["gateway"]))
    expect(not stale, f"testssl: nothing is allowed that does not occur{stale or ''}")
    expect(len(severe(testssl["old"])) >= 1, f"testssl: the weak server has such findings: {len(severe(testssl['old']))}")

    # `tls check` says what they say.
    for name in ("old", "all"):
        mine, theirs = suites_of_ours(ours[name]), suites_of_sslyze(results[name])
        number = sum(len(suites) for suites in theirs.values())
        differs = {version: sorted(mine.get(version, set()) ^ theirs.get(version, set())) for version in mine.keys() | theirs.keys()}
        differs = {version: suites for version, suites in differs.items() if suites}
        expect(number > 0 and not differs, f"tls check: {name} takes the same suites as sslyze says, {number} of them{differs or ''}")
    # Where sslyze asks with OpenSSL 1.0.2, which knows no extended master secret (RFC 7627), the gateway takes nothing at all.
    mine, theirs = suites_of_ours(ours["gateway"]), suites_of_sslyze(gateway)
    expect(theirs["TLS 1.3"] == mine["TLS 1.3"] and theirs["TLS 1.2"] <= mine["TLS 1.2"], "tls check: the gateway takes at least the suites that sslyze says")
    names = openssl_names(gateway)
    forward_secret = {suite for one in testssl["gateway"] if one["id"] == "PFS_ciphers" for suite in one["finding"].split()}
    differs = {names[suite] for suites in mine.values() for suite in suites} ^ forward_secret
    expect(len(forward_secret) >= 6 and not differs, f"tls check: the gateway takes the suites that testssl says, {len(forward_secret)}{sorted(differs) or ''}")
    for name, findings in testssl.items():
        codes = of_ours(ours[name])
        seen = {code: saw for code, saw in of_testssl(findings).items() if saw is not None}
        differs = sorted(code for code, saw in seen.items() if saw != (code in codes))
        expect(len(seen) >= 15 and not differs, f"tls check: of {name} it says what testssl says, {len(seen)} things{differs or ''}")
        live = next((one["finding"] for one in findings if one["id"] == "overall_grade"), None)
        grade = live or RECORDED_GRADES[name]
        expect(ours[name]["grade"] == grade, f"tls check: {name} is {ours[name]['grade']}, as testssl {'says' if live else 'is recorded to say'}: {grade}")
    expect(ours["all"]["grade"] == "F", "tls check: a server without encryption is an F")

    if problems:
        sys.exit(f"{len(problems)} of the scanners' findings are not as they must be")


main(Path(sys.argv[1]))
