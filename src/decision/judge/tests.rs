//! A test for each row of the table, named by its sentence, with the near miss.

use std::borrow::Cow;

use super::super::catalogue::{Kind, ValueRule};
use super::super::leak::{NoSecrets, SecretIndex};
use super::super::name::Folding;
use super::*;

fn text(text: &'static str) -> Value<'static> {
    Value::Text(Cow::Borrowed(text))
}

fn attribute(name: &str, lock: Lock) -> Attribute {
    Attribute { name: name.into(), lock, rule: ValueRule::default(), collect: Collect::Never }
}

fn catalogue_of(mode: Mode, unlisted: Unlisted, signed_unlisted: Unlisted) -> Catalogue {
    let folding =
        Folding { replaced: vec!['.', '$', ' '], replacement: Some('_'), containers: vec!["custom_attributes".into()] };
    let aliases = [("signed_up_at", "created_at"), ("companies", "company")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    Catalogue::new(
        mode,
        unlisted,
        signed_unlisted,
        folding,
        &aliases,
        vec![
            attribute("plan", Lock::Enforce),
            attribute("trial", Lock::Observe),
            attribute("created_at", Lock::Enforce),
            Attribute {
                rule: ValueRule { kind: Kind::Text, one_of: vec![], max_length: Some(5) },
                ..attribute("nickname", Lock::Off)
            },
            Attribute { collect: Collect::Leads, ..attribute("phone", Lock::Enforce) },
            attribute("company.company_id", Lock::Off),
            attribute("company.name", Lock::Enforce),
            attribute("company.size", Lock::Off),
        ],
    )
    .expect("names that differ")
}

fn catalogue() -> Catalogue {
    catalogue_of(Mode::Enforce, Unlisted::Drop, Unlisted::Drop)
}

const MESSENGER: Circumstances = Circumstances {
    channel: Channel::Messenger,
    subject: Subject::NotLead,
    token_reader: TokenReader::Upstream,
    additions: Additions::Welcome,
};

const LEAD_ANSWERS: Circumstances =
    Circumstances { channel: Channel::Collector(Context::Proven), subject: Subject::Lead, ..MESSENGER };

fn write<'a>(name: &'a str, change: Change<'a>) -> Write<'a> {
    Write { prefix: "", name: Cow::Borrowed(name), change, role: Role::Attribute, spelling: Spelling::Own, group: None }
}

/// What the row under test says: the code, what is done, and how the value left.
#[derive(Debug, PartialEq)]
enum Outcome {
    Kept,
    LeftOut,
    Wrote(&'static str),
    /// Left as it came, although the verdict would have it otherwise.
    Observed,
}

/// What no update may hold.
const SECRET: &str = "open sesame";

struct Known;

impl KnownSecrets for Known {
    fn bytes_min(&self) -> usize {
        SECRET.len()
    }

    fn find(&self, text: &str) -> Option<SecretIndex> {
        (text == SECRET).then_some(SecretIndex(0))
    }
}

struct Case<'s> {
    catalogue: Catalogue,
    circumstances: Circumstances<'s>,
    signed: Vec<(&'static str, Value<'static>)>,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self { catalogue: catalogue(), circumstances: MESSENGER, signed: vec![] }
    }
}

impl Case<'_> {
    #[track_caller]
    fn check(&self, write: Write<'_>, code: Code, outcome: Outcome) {
        let claims = Update {
            writes: self.signed.iter().map(|(name, value)| self::write(name, Change::Set(value))).collect(),
            groups: vec![],
        };
        let signed = Signed::vouched(claims);
        let update = Update { writes: vec![write], groups: vec![] };
        let judged = judge(&self.catalogue, self.circumstances, &Known, Some(&signed), &update);
        let [verdict] = judged.verdicts() else { panic!("one write, one verdict") };
        let found = match (verdict.force, verdict.effect) {
            (Force::Recorded, Effect::Kept) => Outcome::Observed,
            (Force::Recorded, Effect::LeftOut | Effect::Replaced(_)) => panic!("what is only recorded changes nothing"),
            (Force::Applied, Effect::Kept) => Outcome::Kept,
            (Force::Applied, Effect::LeftOut) => Outcome::LeftOut,
            (Force::Applied, Effect::Replaced(value)) => {
                let (_, signed) = self.signed.iter().find(|(_, signed)| signed == value).expect("a signed value");
                Outcome::Wrote(match signed {
                    Value::Text(Cow::Borrowed(text)) | Value::Number(Cow::Borrowed(text)) => text,
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::Text(_)
                    | Value::List(_)
                    | Value::Object(_) => {
                        panic!("these tests sign texts and numbers")
                    }
                })
            }
        };
        assert_eq!((verdict.code, found), (code, outcome));
    }
}

#[track_caller]
fn unsigned(name: &str, value: &Value<'_>, code: Code, outcome: Outcome) {
    Case::default().check(write(name, Change::Set(value)), code, outcome);
}

#[test]
fn an_open_attribute_is_kept() {
    unsigned("nickname", &text("bob"), Code::Open, Outcome::Kept);
}

#[test]
fn an_unsigned_value_of_a_locked_attribute_is_left_out() {
    unsigned("plan", &text("pro"), Code::Locked, Outcome::LeftOut);
    unsigned("plan", &Value::Number(Cow::Borrowed("5")), Code::Locked, Outcome::LeftOut);
    unsigned("plan", &Value::Object(vec![]), Code::Locked, Outcome::LeftOut);
    unsigned("plan", &Value::List(vec![]), Code::Locked, Outcome::LeftOut);
}

#[test]
fn an_observed_lock_records_and_leaves_as_it_came() {
    unsigned("trial", &text("1"), Code::Locked, Outcome::Observed);
    unsigned("trial", &Value::Null, Code::EraseLocked, Outcome::Observed);
    unsigned("Trial", &text("1"), Code::Alias, Outcome::Observed);
}

#[test]
fn a_signed_value_is_kept_as_it_was_signed() {
    let case = Case { signed: vec![("plan", text("5"))], ..Case::default() };
    case.check(write("plan", Change::Set(&Value::Number(Cow::Borrowed("5.0")))), Code::Signed, Outcome::Wrote("5"));
}

#[test]
fn where_the_token_differs_its_value_is_written() {
    let case = Case { signed: vec![("plan", text("free")), ("nickname", text("ada"))], ..Case::default() };
    case.check(write("plan", Change::Set(&text("pro"))), Code::Overridden, Outcome::Wrote("free"));
    case.check(write("plan", Change::Set(&Value::Null)), Code::Overridden, Outcome::Wrote("free"));
    case.check(write("plan", Change::Delete), Code::Overridden, Outcome::Wrote("free"));
    // A signed value is better evidence, whatever the lock.
    case.check(write("nickname", Change::Set(&text("bob"))), Code::Overridden, Outcome::Wrote("ada"));
}

#[test]
fn a_token_signs_the_name_that_it_spells() {
    let case = Case { signed: vec![("Plan", text("pro")), ("signed_up_at", text("1"))], ..Case::default() };
    case.check(write("plan", Change::Set(&text("pro"))), Code::Locked, Outcome::LeftOut);
    case.check(write("created_at", Change::Set(&text("1"))), Code::Locked, Outcome::LeftOut);
    case.check(write("Plan", Change::Set(&text("pro"))), Code::Alias, Outcome::LeftOut);
}

#[test]
fn clearing_a_locked_attribute_needs_a_signature_too() {
    for erasure in [Value::Null, text(""), text("null"), text("undefined")] {
        unsigned("plan", &erasure, Code::EraseLocked, Outcome::LeftOut);
    }
    Case::default().check(write("plan", Change::Delete), Code::EraseLocked, Outcome::LeftOut);
    unsigned("nickname", &Value::Null, Code::Open, Outcome::Kept);
    Case::default().check(write("nickname", Change::Delete), Code::Open, Outcome::Kept);
}

#[test]
fn browsers_do_not_create_attributes() {
    unsigned("is_admin", &text("1"), Code::Unlisted, Outcome::LeftOut);
    Case::default().check(write("is_admin", Change::Delete), Code::Unlisted, Outcome::LeftOut);
    let observed =
        Case { catalogue: catalogue_of(Mode::Enforce, Unlisted::Observe, Unlisted::Drop), ..Case::default() };
    observed.check(write("is_admin", Change::Set(&text("1"))), Code::Unlisted, Outcome::Observed);
    let kept = Case { catalogue: catalogue_of(Mode::Enforce, Unlisted::Keep, Unlisted::Drop), ..Case::default() };
    kept.check(write("is_admin", Change::Set(&text("1"))), Code::Open, Outcome::Kept);
    kept.check(write("is_admin", Change::Set(&Value::Object(vec![]))), Code::Type, Outcome::LeftOut);
    kept.check(write("plan", Change::Set(&text("1"))), Code::Locked, Outcome::LeftOut);
}

#[test]
fn a_signer_creates_attributes_only_where_the_operator_says_so() {
    let signed = || vec![("is_admin", text("1"))];
    let case = Case { signed: signed(), ..Case::default() };
    case.check(write("is_admin", Change::Set(&text("1"))), Code::Unlisted, Outcome::LeftOut);
    let catalogue = catalogue_of(Mode::Enforce, Unlisted::Drop, Unlisted::Keep);
    let case = Case { signed: signed(), catalogue, ..Case::default() };
    case.check(write("is_admin", Change::Set(&text("1"))), Code::Signed, Outcome::Wrote("1"));
    case.check(write("is_admin", Change::Set(&text("2"))), Code::Overridden, Outcome::Wrote("1"));
}

#[test]
fn another_spelling_of_a_locked_name_is_left_out() {
    for name in ["Plan", "PLAN", "plan ", "\u{ff50}lan", "pl\u{200b}an", "custom_attributes.plan", "signed_up_at"] {
        unsigned(name, &text("pro"), Code::Alias, Outcome::LeftOut);
    }
    let value = text("pro");
    let elsewhere = Write { spelling: Spelling::Alias, ..write("plan", Change::Set(&value)) };
    Case::default().check(elsewhere, Code::Alias, Outcome::LeftOut);
    unsigned("planet", &text("pro"), Code::Unlisted, Outcome::LeftOut);
    unsigned("Nickname", &text("bob"), Code::Open, Outcome::Kept);
}

#[test]
fn a_name_with_a_dot_is_tried_as_a_path_as_well() {
    unsigned("company.name", &text("Acme"), Code::Alias, Outcome::LeftOut);
    unsigned("Company.Name", &text("Acme"), Code::Alias, Outcome::LeftOut);
    unsigned("company.other", &text("Acme"), Code::Unlisted, Outcome::LeftOut);
}

#[test]
fn an_object_under_a_name_that_folds_to_a_locked_group_is_left_out() {
    let object = Value::Object(vec![(Cow::Borrowed("name"), text("Acme"))]);
    unsigned("Company", &object, Code::Alias, Outcome::LeftOut);
    unsigned("companies ", &object, Code::Alias, Outcome::LeftOut);
    let kept = Case { catalogue: catalogue_of(Mode::Enforce, Unlisted::Keep, Unlisted::Drop), ..Case::default() };
    kept.check(write("Company", Change::Set(&object)), Code::Alias, Outcome::LeftOut);
}

#[test]
fn a_value_that_the_catalogue_does_not_allow_is_left_out() {
    unsigned("nickname", &text("bobby"), Code::Open, Outcome::Kept);
    unsigned("nickname", &text("bobbys"), Code::Type, Outcome::LeftOut);
    unsigned("nickname", &Value::Object(vec![]), Code::Type, Outcome::LeftOut);
    unsigned("nickname", &Value::List(vec![]), Code::Type, Outcome::LeftOut);
    unsigned("nickname", &Value::Bool(true), Code::Type, Outcome::LeftOut);
}

#[test]
fn a_lead_may_answer_a_bot_where_the_catalogue_says_so() {
    let phone = text("123");
    let case = |circumstances| Case { circumstances, ..Case::default() };
    case(LEAD_ANSWERS).check(write("phone", Change::Set(&phone)), Code::Lead, Outcome::Kept);
    // Each condition is needed: the context, the subject, the attribute, the channel, a value.
    let no_context = Circumstances { channel: Channel::Collector(Context::Missing), ..LEAD_ANSWERS };
    case(no_context).check(write("phone", Change::Set(&phone)), Code::NotLead, Outcome::LeftOut);
    let names = ["email".to_owned(), "phone".to_owned(), "plan".to_owned()];
    let ticket = Circumstances { subject: Subject::LeadFor(&names), ..LEAD_ANSWERS };
    case(ticket).check(write("phone", Change::Set(&phone)), Code::Lead, Outcome::Kept);
    case(ticket).check(write("plan", Change::Set(&phone)), Code::NotLead, Outcome::LeftOut);
    case(ticket).check(write("Phone", Change::Set(&phone)), Code::Alias, Outcome::LeftOut);
    let of_another = Circumstances { subject: Subject::LeadFor(&names[..1]), ..LEAD_ANSWERS };
    case(of_another).check(write("phone", Change::Set(&phone)), Code::NotLead, Outcome::LeftOut);
    let elsewhere = Circumstances { channel: Channel::Messenger, ..ticket };
    case(elsewhere).check(write("phone", Change::Set(&phone)), Code::Locked, Outcome::LeftOut);
    let user = Circumstances { subject: Subject::NotLead, ..LEAD_ANSWERS };
    case(user).check(write("phone", Change::Set(&phone)), Code::NotLead, Outcome::LeftOut);
    case(LEAD_ANSWERS).check(write("plan", Change::Set(&phone)), Code::NotLead, Outcome::LeftOut);
    let ping = Circumstances { channel: Channel::Messenger, ..LEAD_ANSWERS };
    case(ping).check(write("phone", Change::Set(&phone)), Code::Locked, Outcome::LeftOut);
    case(LEAD_ANSWERS).check(write("phone", Change::Set(&Value::Null)), Code::EraseLocked, Outcome::LeftOut);
    case(LEAD_ANSWERS).check(write("phone", Change::Set(&Value::Object(vec![]))), Code::Type, Outcome::LeftOut);
    case(LEAD_ANSWERS).check(write("Phone", Change::Set(&phone)), Code::Alias, Outcome::LeftOut);
    case(LEAD_ANSWERS).check(write("other", Change::Set(&phone)), Code::Unlisted, Outcome::LeftOut);
    case(LEAD_ANSWERS).check(write("nickname", Change::Set(&phone)), Code::Open, Outcome::Kept);
}

#[test]
fn a_trusted_server_writes_what_is_locked_within_its_type_and_its_spelling() {
    let (phone, object) = (text("123"), Value::Object(vec![]));
    let server = Circumstances { channel: Channel::Server, ..MESSENGER };
    let case = || Case { circumstances: server, ..Case::default() };
    case().check(write("phone", Change::Set(&phone)), Code::Server, Outcome::Kept);
    case().check(write("phone", Change::Set(&Value::Null)), Code::Server, Outcome::Kept);
    case().check(write("phone", Change::Delete), Code::Server, Outcome::Kept);
    case().check(write("phone", Change::Set(&object)), Code::Type, Outcome::LeftOut);
    case().check(write("Phone", Change::Set(&phone)), Code::Alias, Outcome::LeftOut);
    case().check(write("other", Change::Set(&phone)), Code::Unlisted, Outcome::LeftOut);
    case().check(write("nickname", Change::Set(&phone)), Code::Open, Outcome::Kept);
    case().check(write("nickname", Change::Set(&object)), Code::Type, Outcome::LeftOut);
}

#[test]
fn settings_and_credentials_pass() {
    let value = text("x");
    let case = Case::default();
    case.check(Write { role: Role::Setting, ..write("app_id", Change::Set(&value)) }, Code::Setting, Outcome::Kept);
    case.check(Write { role: Role::Credential, ..write("jwt", Change::Set(&value)) }, Code::Credential, Outcome::Kept);
    case.check(
        Write { role: Role::OwnCredential, ..write("jwt", Change::Set(&value)) },
        Code::Credential,
        Outcome::LeftOut,
    );
    // The operator's list outranks the profile's.
    case.check(Write { role: Role::Setting, ..write("plan", Change::Set(&value)) }, Code::Locked, Outcome::LeftOut);
}

#[test]
fn replacing_or_clearing_a_whole_object_writes_its_members() {
    fn whole<'a>(name: &'a str, value: &'a Value<'a>) -> Write<'a> {
        Write { role: Role::WholeGroup, ..write(name, Change::Set(value)) }
    }
    let case = Case::default();
    case.check(whole("company", &Value::Null), Code::EraseLocked, Outcome::LeftOut);
    case.check(whole("companies", &Value::Null), Code::EraseLocked, Outcome::LeftOut);
    case.check(whole("company", &text("Acme")), Code::Locked, Outcome::LeftOut);
    case.check(whole("account", &Value::Null), Code::Unlisted, Outcome::LeftOut);
}

fn company<'a>(
    values: &'a [(&'static str, Value<'static>)],
    id: Option<&'a str>,
    required: &'a [Vec<String>],
) -> Update<'a> {
    let writes = values.iter().map(|(name, value)| Write {
        prefix: "company",
        group: Some(GroupIndex(0)),
        ..write(name, Change::Set(value))
    });
    Update { writes: writes.collect(), groups: vec![Group { name: "company", id, required }] }
}

fn required() -> Vec<Vec<String>> {
    vec![vec!["company_id".into(), "id".into()], vec!["name".into()]]
}

#[track_caller]
fn check_company(signed: &Update<'_>, update: &Update<'_>, codes: &[Code]) {
    let signed = Signed::vouched(signed.clone());
    let catalogue = catalogue();
    let judged = judge(&catalogue, MESSENGER, &NoSecrets, Some(&signed), update);
    assert_eq!(judged.verdicts().iter().map(|verdict| verdict.code).collect::<Vec<_>>(), codes);
}

#[test]
fn what_is_left_of_an_object_must_stand_alone() {
    let values = [("company_id", text("acme")), ("name", text("Acme")), ("size", text("9"))];
    let required = required();
    let nothing = Update::default();
    check_company(
        &nothing,
        &company(&values, Some("acme"), &required),
        &[Code::Incomplete, Code::Locked, Code::Incomplete],
    );
    // One that came without a name was never whole; the backend knows it by its id.
    let values = [("company_id", text("acme")), ("size", text("9"))];
    check_company(&nothing, &company(&values, Some("acme"), &required), &[Code::Open, Code::Open]);
}

#[test]
fn signed_objects_are_found_by_their_id() {
    let required = required();
    let values = [("company_id", text("acme")), ("name", text("Acme")), ("size", text("9"))];
    let same = [("company_id", text("acme")), ("name", text("Acme"))];
    let signed = company(&same, Some("acme"), &required);
    check_company(&signed, &company(&values, Some("acme"), &required), &[Code::Signed, Code::Signed, Code::Open]);
    let other = company(&same, Some("globex"), &required);
    check_company(
        &other,
        &company(&values, Some("acme"), &required),
        &[Code::Incomplete, Code::Locked, Code::Incomplete],
    );
    let without_id = company(&same, None, &required);
    check_company(
        &without_id,
        &company(&values, Some("acme"), &required),
        &[Code::Incomplete, Code::Locked, Code::Incomplete],
    );
    let values = [("name", text("Acme"))];
    check_company(&signed, &company(&values, None, &required), &[Code::Locked]);
}

#[test]
fn a_lock_on_the_object_holds_for_all_members() {
    for name in ["company", "companies"] {
        let catalogue = Catalogue::new(
            Mode::Enforce,
            Unlisted::Keep,
            Unlisted::Drop,
            Folding::default(),
            &[("companies".to_owned(), "company".to_owned())],
            vec![attribute(name, Lock::Enforce), attribute("company.size", Lock::Off)],
        )
        .expect("names that differ");
        let values = [("size", text("9")), ("other", text("x"))];
        let update = company(&values, Some("acme"), &[]);
        let judged = judge(&catalogue, MESSENGER, &NoSecrets, None, &update);
        assert!(judged.verdicts().iter().all(|verdict| verdict.code == Code::Locked), "{judged:?}");
    }
}

#[track_caller]
fn check_unnamed(circumstances: Circumstances, catalogue: &Catalogue, expected: &[(&str, Code)], added: &[&str]) {
    let (plan, admin) = (text("pro"), text("1"));
    let claims = vec![write("plan", Change::Set(&plan)), write("is_admin", Change::Set(&admin))];
    let signed = Signed::vouched(Update { writes: claims, groups: vec![] });
    let update = Update::default();
    let judged = judge(catalogue, circumstances, &NoSecrets, Some(&signed), &update);
    let unnamed: Vec<_> = judged.unnamed().iter().map(|(name, verdict)| (name.as_str(), verdict.code)).collect();
    assert_eq!(unnamed, expected);
    assert_eq!(judged.additions().iter().map(|addition| addition.name.as_str()).collect::<Vec<_>>(), added);
}

#[test]
fn what_only_the_token_carries_is_written_in_where_the_backend_reads_no_tokens() {
    let gateway = Circumstances { token_reader: TokenReader::Gateway, ..MESSENGER };
    let strict = catalogue();
    check_unnamed(MESSENGER, &strict, &[("plan", Code::Signed), ("is_admin", Code::Signed)], &[]);
    check_unnamed(gateway, &strict, &[("plan", Code::SignedAdded), ("is_admin", Code::Unlisted)], &["plan"]);
    let creating = catalogue_of(Mode::Enforce, Unlisted::Drop, Unlisted::Keep);
    check_unnamed(
        gateway,
        &creating,
        &[("plan", Code::SignedAdded), ("is_admin", Code::SignedAdded)],
        &["plan", "is_admin"],
    );
    let observing = catalogue_of(Mode::Observe, Unlisted::Drop, Unlisted::Drop);
    check_unnamed(gateway, &observing, &[("plan", Code::SignedAdded), ("is_admin", Code::Unlisted)], &[]);
    let unwelcome = Circumstances { additions: Additions::Unwelcome, ..gateway };
    check_unnamed(unwelcome, &strict, &[], &[]);
}

#[test]
fn the_mode_is_the_ceiling() {
    let observing = Case { catalogue: catalogue_of(Mode::Observe, Unlisted::Drop, Unlisted::Drop), ..Case::default() };
    observing.check(write("plan", Change::Set(&text("pro"))), Code::Locked, Outcome::Observed);
    observing.check(write("is_admin", Change::Set(&text("1"))), Code::Unlisted, Outcome::Observed);
    observing.check(write("nickname", Change::Set(&text("bobbys"))), Code::Type, Outcome::Observed);
    let off = Case { catalogue: catalogue_of(Mode::Off, Unlisted::Drop, Unlisted::Drop), ..Case::default() };
    off.check(write("plan", Change::Set(&text("pro"))), Code::Open, Outcome::Kept);
    off.check(write("is_admin", Change::Set(&text("1"))), Code::Open, Outcome::Kept);
}

#[test]
fn a_secret_is_left_out_whatever_the_lock() {
    for name in ["plan", "Plan", "trial", "nickname", "is_admin", "phone"] {
        unsigned(name, &text(SECRET), Code::Secret, Outcome::LeftOut);
        unsigned(
            name,
            &Value::List(vec![Value::Object(vec![("a".into(), text(SECRET))])]),
            Code::Secret,
            Outcome::LeftOut,
        );
    }
    unsigned(SECRET, &Value::Null, Code::Secret, Outcome::LeftOut);
    Case::default().check(write(SECRET, Change::Delete), Code::Secret, Outcome::LeftOut);
    let answers = Case { circumstances: LEAD_ANSWERS, ..Case::default() };
    answers.check(write("phone", Change::Set(&text(SECRET))), Code::Secret, Outcome::LeftOut);
    // The near miss.
    unsigned("nickname", &text("sesam"), Code::Open, Outcome::Kept);
}

#[test]
fn a_secret_is_left_out_in_every_mode_and_role() {
    for mode in [Mode::Off, Mode::Observe, Mode::Enforce] {
        let case = Case { catalogue: catalogue_of(mode, Unlisted::Keep, Unlisted::Keep), ..Case::default() };
        for role in [Role::Attribute, Role::WholeGroup, Role::Setting, Role::Credential, Role::OwnCredential] {
            let value = text(SECRET);
            case.check(Write { role, ..write("other", Change::Set(&value)) }, Code::Secret, Outcome::LeftOut);
        }
    }
}

#[test]
fn a_signed_secret_is_left_out_too_and_nothing_stands_in_its_place() {
    for mode in [Mode::Observe, Mode::Enforce] {
        let catalogue = catalogue_of(mode, Unlisted::Drop, Unlisted::Drop);
        let case =
            Case { catalogue, signed: vec![("plan", text(SECRET)), ("nickname", text(SECRET))], ..Case::default() };
        case.check(write("plan", Change::Set(&text(SECRET))), Code::Secret, Outcome::LeftOut);
        case.check(write("plan", Change::Set(&text("pro"))), Code::Secret, Outcome::LeftOut);
        case.check(write("nickname", Change::Set(&text("bob"))), Code::Secret, Outcome::LeftOut);
        // Another spelling asks no token.
        let alias = if mode == Mode::Enforce { Outcome::LeftOut } else { Outcome::Observed };
        case.check(write("Plan", Change::Set(&text("pro"))), Code::Alias, alias);
    }
}

#[test]
fn a_signed_value_takes_the_place_of_a_secret() {
    let gateway = Circumstances { token_reader: TokenReader::Gateway, ..MESSENGER };
    let (plan, secret) = (text("pro"), text(SECRET));
    let claims = vec![
        write("plan", Change::Set(&plan)),
        write("seats", Change::Set(&secret)),
        write(SECRET, Change::Set(&plan)),
    ];
    let signed = Signed::vouched(Update { writes: claims, groups: vec![] });
    let update = Update { writes: vec![write("plan", Change::Set(&secret))], groups: vec![] };
    let judged = judge(&catalogue(), gateway, &Known, Some(&signed), &update);
    let unnamed: Vec<_> = judged.unnamed().iter().map(|(name, verdict)| (name.as_str(), verdict.code)).collect();
    assert_eq!(unnamed, [("plan", Code::SignedAdded), ("seats", Code::Secret), (WITHHELD, Code::Secret)]);
    assert_eq!(judged.additions().iter().map(|addition| addition.value).collect::<Vec<_>>(), [&plan]);
    let places: Vec<_> = judged.leaks().iter().map(|leaked| leaked.place.clone()).collect();
    let claim = |name: &str| LeakPlace::Claim(name.to_owned());
    assert_eq!(places, [LeakPlace::Value(0), claim("seats"), claim(WITHHELD)]);
    assert!(judged.is_secret_signed() && !judged.is_name_withheld(0));
    let off = judge(&catalogue_of(Mode::Off, Unlisted::Drop, Unlisted::Drop), gateway, &Known, Some(&signed), &update);
    assert!(off.is_secret_signed() && off.additions().is_empty());
}

#[test]
fn an_object_that_loses_its_id_to_a_secret_goes_in_every_mode() {
    let values = [("company_id", text(SECRET)), ("size", text("9"))];
    let required = required();
    for mode in [Mode::Off, Mode::Observe, Mode::Enforce] {
        let update = company(&values, Some(SECRET), &required);
        let judged = judge(&catalogue_of(mode, Unlisted::Drop, Unlisted::Drop), MESSENGER, &Known, None, &update);
        let codes: Vec<_> = judged.verdicts().iter().map(|verdict| (verdict.code, verdict.effect)).collect();
        assert_eq!(codes, [(Code::Secret, Effect::LeftOut), (Code::Incomplete, Effect::LeftOut)]);
    }
}

#[test]
fn every_code_has_its_own_name() {
    let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Code::ALL.len());
}
