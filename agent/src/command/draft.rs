//! The command `agreement new`. In: a template, the parties' cards, options. Out: a draft, signed by the party that made it.
//! Invariant: what is drafted passes every check of an agreement before it is written; an agreement that exists is never
//! overwritten. Costs and limits of what was chosen are said at once.
//! Specification: protocol/SPEC.md, "Agreement"; README, "Ten minutes".

use std::path::{Path, PathBuf};

use clap::Args;
use hedui_edge::home::HomeOptions;
use hedui_edge::{Console, Problem, files};
use hedui_protocol::agreement::text::{
    Dataset, DatasetKind, Disclosure, Field, Ground, KeyClass, LockKind, MatchKey, Party, Release,
    Role, Text,
};
use hedui_protocol::agreement::{Agreement, strict};
use hedui_protocol::field::FieldKind;
use hedui_protocol::identity::PartyCard;
use hedui_protocol::ids::Name;
use hedui_protocol::limits::{DISCLOSED_MAX, NUMBERS_PER_AREA};
use hedui_protocol::primitive::{hex, sha256};
use hedui_protocol::refusal::Refusal;

use crate::clue::rules::Rules;
use crate::clue::{absent, vocabulary};
use crate::evaluation::cost;

const CN_PERSON: &str = include_str!("../../templates/cn-person.toml");
const PERSON: &str = include_str!("../../templates/person.toml");
const COUNTY: &str = include_str!("../../templates/county.toml");
/// Templates that are shipped.
const BUILT_IN: [&str; 3] = ["cn-person", "person", "county"];
/// The county's rule file, written beside a county agreement.
pub const COUNTY_RULES: &str = include_str!("../../templates/county-rules.toml");

/// Options of `agreement new`.
#[derive(Args)]
pub struct NewOptions {
    /// Template: cn-person, person, county, or a file
    #[arg(long, default_value = "cn-person")]
    template: String,
    /// Card of the department whose persons are asked about (repeat --department for the others)
    #[arg(long, value_name = "CARD")]
    roll: PathBuf,
    /// Card of a department with a register
    #[arg(long = "department", value_name = "CARD")]
    departments: Vec<PathBuf>,
    /// Card of the matcher
    #[arg(long, value_name = "CARD")]
    matcher: PathBuf,
    /// Card of a custodian (repeat; three, of which two are needed, is usual)
    #[arg(long = "custodian", value_name = "CARD")]
    custodians: Vec<PathBuf>,
    /// Custodians whose answers are needed
    #[arg(long, default_value_t = 2)]
    threshold: u32,
    /// Custodian that deals the shares, where the custodians cannot make the key together
    #[arg(long, value_name = "NAME")]
    dealer: Option<String>,
    /// First lock: oprf (custodians), or keyed for a trial without them
    #[arg(long, default_value = "oprf")]
    lock: String,
    /// What the comparison is for
    #[arg(long)]
    purpose: String,
    /// Law or authorisation that it rests on
    #[arg(long)]
    legal_basis: String,
    /// First day of validity (default: today)
    #[arg(long, value_name = "DAY")]
    valid_from: Option<String>,
    /// Last day of validity (default: 365 days later)
    #[arg(long, value_name = "DAY")]
    valid_until: Option<String>,
    /// Gazetteer that resolves places
    #[arg(long, value_name = "FILE")]
    gazetteer: Option<PathBuf>,
    /// Rule file that turns matches into clues
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Compare what the keys leave open field by field (refinement; weaker than the keys' two locks, see OPERATIONS)
    #[arg(long)]
    refine: bool,
    /// Also find registers' identity numbers with one slip: a match key with 180 values per person of the roll
    #[arg(long)]
    allow_id_errors: bool,
    /// Register in which a person of the roll stands once at most, each record one person (repeat)
    #[arg(long, value_name = "REGISTER")]
    one_to_one: Vec<String>,
    /// A person may stand on the roll more than once (a file that is looked through for repeated persons)
    #[arg(long, conflicts_with = "one_to_one")]
    roll_repeats: bool,
    /// Thousandths of a dataset's records that may stand alone by the pattern of their encodings; above it no delivery
    #[arg(long, value_name = "PERMILLE")]
    alone_permille_max: Option<u32>,
    /// Days after which the matcher deletes what it received; changes build on deliveries that it still has (default: the template's)
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    retention_days: Option<u32>,
    /// Most records per register and epoch that its owner may be asked to lay open, each by its people's decision (协查)
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u32).range(1..=i64::from(DISCLOSED_MAX)))]
    disclosure: Option<u32>,
    /// Field that goes with a record that is laid open (repeat; default: names and dates of the template)
    #[arg(long, value_name = "FIELD", requires = "disclosure")]
    disclose: Vec<String>,
    /// Register whose owner learns which of its own records were found on the roll, so that it can look into the others (repeat)
    #[arg(long, value_name = "REGISTER")]
    own_result: Vec<String>,
    /// Ground on which persons are compared: an authorisation of each, or the power to inspect
    #[arg(long, value_enum)]
    authorisation: Option<GroundName>,
    /// Do not sign the draft with this party's key
    #[arg(long)]
    unsigned: bool,
}

/// Ground of a comparison, on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum GroundName {
    /// 逐人授权: a record of the roll is delivered only with a valid authorisation
    EachPerson,
    /// 监督检查: the power to inspect; every output says so
    Inspection,
}

impl From<GroundName> for Ground {
    fn from(name: GroundName) -> Self {
        match name {
            GroundName::EachPerson => Self::EachPerson,
            GroundName::Inspection => Self::Inspection,
        }
    }
}

/// `agreement new`: drafts from a template and the parties' cards, and signs.
pub fn new(home: &HomeOptions, console: &Console, options: &NewOptions) -> Result<(), Problem> {
    let path = home.agreement_file();
    if path.exists() {
        return Err(Problem::data(
            format!("{} exists already", path.display()),
            "give another file with --agreement; an agreement is never overwritten",
        ));
    }
    let template = match options.template.as_str() {
        "cn-person" => CN_PERSON.to_owned(),
        "person" => PERSON.to_owned(),
        "county" => COUNTY.to_owned(),
        other if Path::new(other).exists() => files::read_text(Path::new(other))?,
        other => {
            let near = strict::nearest_of(other, ["cn-person", "person", "county"].into_iter());
            let hint = near
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            return Err(Problem::usage(
                format!("there is no template `{other}`{hint}"),
                "templates: cn-person, person, county, or the path of a file",
            ));
        }
    };
    let mut text: Text = strict::parse("agreement template", &template)?;
    let clock = home.clock()?;
    text.purpose.clone_from(&options.purpose);
    text.legal_basis.clone_from(&options.legal_basis);
    text.valid_from = options.valid_from.clone().unwrap_or_else(|| clock.today());
    text.valid_until = options
        .valid_until
        .clone()
        .unwrap_or_else(|| clock.after(365));
    for (file, digest) in [
        (&options.gazetteer, &mut text.gazetteer_sha256),
        (&options.rules, &mut text.rules_sha256),
    ] {
        if let Some(file) = file {
            *digest = hex(&sha256(&[&files::read_small(file)?]));
        }
    }
    let roll = read_card(&options.roll)?;
    add_party(&mut text, &roll, Role::Department);
    if text.dataset.is_empty() {
        text.dataset
            .push(dataset("roll", 1, &roll.name, DatasetKind::Roll)?);
    }
    let given = text.dataset.len() > 1;
    for (number, card) in (2..).zip(&options.departments) {
        let card = read_card(card)?;
        add_party(&mut text, &card, Role::Department);
        if !given {
            text.dataset.push(dataset(
                card.name.as_str(),
                number,
                &card.name,
                DatasetKind::Register,
            )?);
        }
    }
    for name in &options.one_to_one {
        register_of(&mut text, "--one-to-one", name)?.one_to_one = true;
    }
    for name in &options.own_result {
        register_of(&mut text, "--own-result", name)?.own_result = true;
    }
    if let Some(records_max) = options.disclosure {
        set_disclosure(&mut text, records_max, &options.disclose)?;
    }
    if options.alone_permille_max.is_some() {
        text.alone_permille_max = options.alone_permille_max;
    }
    if let Some(days) = options.retention_days {
        text.retention_days = days;
    }
    text.authorisation = options.authorisation.map(Ground::from);
    if options.roll_repeats {
        let mut datasets = text.dataset.iter_mut();
        if let Some(roll) = datasets.find(|d| d.kind == DatasetKind::Roll) {
            roll.repeats = true;
        }
    }
    add_party(&mut text, &read_card(&options.matcher)?, Role::Matcher);
    for card in &options.custodians {
        add_party(&mut text, &read_card(card)?, Role::Custodian);
    }
    set_lock(&mut text, options)?;
    // A template of one's own says itself whether it refines.
    if !options.refine && BUILT_IN.contains(&options.template.as_str()) {
        text.refine = None;
        text.comparison.clear();
        text.match_key.retain(|key| key.class != KeyClass::D);
    }
    if options.refine && text.refine.is_none() {
        return Err(Problem::usage(
            "the template has no `[refine]`",
            "add it with its comparisons, or leave out --refine",
        ));
    }
    if options.allow_id_errors {
        add_error_key(&mut text)?;
    }
    let agreement = Agreement::from_text(text)?;
    if let Some(file) = &options.rules {
        // A rule that cannot work is found before anybody signs.
        let rules = Rules::read_whole(file, &agreement)?;
        vocabulary::check(&rules, agreement.registers())?;
        absent::dry_run(&rules, &agreement)?;
    }
    files::write_bytes(&path, to_edit(agreement.effective()).as_bytes())?;
    console.say(&format!("协议草案 draft: {}", path.display()));
    super::agreement::print_digest(console, &agreement);
    print_costs(console, &agreement);
    if !options.unsigned {
        super::agreement::sign(home, console)?;
    }
    Ok(())
}

/// The effective text without its empty lists of facts, which say nothing and would stand in the way of whoever adds one.
fn to_edit(effective: &str) -> String {
    let lines = effective.lines().filter(|line| *line != "fact = []");
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// A register that an option names.
fn register_of<'t>(
    text: &'t mut Text,
    option: &str,
    name: &str,
) -> Result<&'t mut Dataset, Problem> {
    let mut registers = text.dataset.iter_mut();
    let held = registers.find(|d| d.kind == DatasetKind::Register && d.name.as_str() == name);
    held.ok_or_else(|| {
        Problem::usage(
            format!("{option}: there is no register `{name}`"),
            "a register is named like its department, or as the template says",
        )
    })
}

/// Lets every register's owner but the roll's be asked about single records.
fn set_disclosure(text: &mut Text, records_max: u32, named: &[String]) -> Result<(), Problem> {
    let usual = [FieldKind::CnName, FieldKind::PersonName, FieldKind::Date];
    let mut fields = Vec::new();
    for field in &text.field {
        let is_named = named.iter().any(|name| name == field.name.as_str());
        if is_named || (named.is_empty() && usual.contains(&field.kind)) {
            fields.push(field.name.clone());
        }
    }
    let is_number = |field: &&Field| field.kind == FieldKind::CnResidentId;
    if let Some(number) = text
        .field
        .iter()
        .filter(is_number)
        .find(|f| fields.contains(&f.name))
    {
        return Err(Problem::usage(
            format!(
                "--disclose {}: 身份证号从不提供 identity numbers are never laid open",
                number.name
            ),
            "请从 --disclose 中去掉 leave it out",
        ));
    }
    if let Some(unknown) = named
        .iter()
        .find(|name| !fields.iter().any(|field| field.as_str() == name.as_str()))
    {
        let all = text.field.iter().map(|field| field.name.as_str());
        let all: Vec<&str> = all.collect();
        return Err(Problem::usage(
            format!("--disclose: there is no field `{unknown}`"),
            format!("fields of the template: {}", all.join(", ")),
        ));
    }
    let roll = text.dataset.iter().find(|d| d.kind == DatasetKind::Roll);
    let owner = roll.map(|roll| roll.owner.clone());
    let registers = text.dataset.iter_mut();
    for register in registers.filter(|d| d.kind == DatasetKind::Register) {
        if Some(&register.owner) != owner.as_ref() {
            register.disclosure = Some(Disclosure {
                records_max,
                fields: fields.clone(),
            });
        }
    }
    Ok(())
}

fn set_lock(text: &mut Text, options: &NewOptions) -> Result<(), Problem> {
    text.lock = match options.lock.as_str() {
        "oprf" => LockKind::Oprf,
        "keyed" => LockKind::Keyed,
        other => {
            return Err(Problem::usage(
                format!("there is no lock `{other}`"),
                "--lock oprf (with custodians) or --lock keyed (for a trial)",
            ));
        }
    };
    if text.lock == LockKind::Oprf && options.custodians.is_empty() {
        return Err(Problem::usage(
            "the lock `oprf` needs custodians",
            "add --custodian CARD for each of them, or --lock keyed for a trial without custodians",
        ));
    }
    text.oprf.threshold = options.threshold;
    text.oprf.dealer = options.dealer.clone().unwrap_or_default();
    Ok(())
}

/// The match key of a number with one slip and a name that sounds the same: evidence of two kinds (security.md
/// §6.4), so that it decides and releases like two class-B keys.
fn add_error_key(text: &mut Text) -> Result<(), Problem> {
    let field = |kind| text.field.iter().find(|field| field.kind == kind);
    let (Some(id), Some(name)) = (field(FieldKind::CnResidentId), field(FieldKind::CnName)) else {
        return Err(Problem::usage(
            "the template has no identity number and name in Han characters",
            "leave out --allow-id-errors",
        ));
    };
    let key = Name::try_from("near-id-name".to_owned()).map_err(|why| Problem::data(why, ""))?;
    let parts = vec![
        format!("{}:one-error", id.name),
        format!("{}:pinyin", name.name),
    ];
    text.match_key.push(MatchKey {
        name: key.clone(),
        parts,
        class: KeyClass::B,
        family: "near-id+near-name".to_owned(),
    });
    text.release.push(Release { keys: vec![key] });
    Ok(())
}

pub(super) fn print_costs(console: &Console, agreement: &Agreement) {
    if agreement.text().refine.is_some() {
        console.note(
            "含复核轮次 [refine]：逐字段比较未定的记录对，保护弱于匹配键 it has a round of refinement, which protects less than the match keys do: \
             docs/OPERATIONS.md, \"Refinement\"",
        );
    }
    if agreement.text().lock == LockKind::Oprf {
        let lines = cost::of_error_keys(agreement);
        lines.iter().for_each(|line| console.note(line));
        let custodians = agreement.custodians().len();
        if custodians as u64 <= u64::from(agreement.text().oprf.threshold) {
            console.note(&format!(
                "注意: {custodians} 个保管方全部需要，丢失一份即须换期 note: all {custodians} custodians are needed, and one lost share \
                 ends the epoch; three of whom two are needed are safer"
            ));
        }
        for dataset in &agreement.text().dataset {
            let most = agreement.evaluations_max(dataset);
            let share = most as f64 * 100.0 / NUMBERS_PER_AREA as f64;
            console.note(&format!(
                "{}: 本期至多计算 at most {most} 个取值 evaluations per epoch, 相当于一个区划代码全部号码的 as many as {share:.1} % of one \
                 area code's numbers",
                dataset.name
            ));
        }
    }
}

fn add_party(text: &mut Text, card: &PartyCard, role: Role) {
    let held = text.party.iter_mut().find(|party| party.name == card.name);
    let (sign, seal) = (hex(&card.sign), hex(&card.seal));
    match held {
        // A template may hold the party with its title and empty keys.
        Some(party) => (party.sign, party.seal, party.role) = (sign, seal, role),
        None => {
            let (name, title) = (card.name.clone(), String::new());
            text.party.push(Party {
                name,
                title,
                role,
                sign,
                seal,
            });
        }
    }
}

fn dataset(name: &str, number: u16, owner: &Name, kind: DatasetKind) -> Result<Dataset, Problem> {
    Ok(Dataset {
        name: Name::try_from(name.to_owned()).map_err(|why| Problem::data(why, "rename it"))?,
        number,
        title: String::new(),
        owner: owner.clone(),
        kind,
        rows_max: 10_000_000,
        evaluations_max: 0,
        matches_max: 0,
        one_to_one: false,
        repeats: false,
        own_result: false,
        disclosure: None,
        fact: Vec::new(),
    })
}

fn read_card(path: &Path) -> Result<PartyCard, Problem> {
    // A party's folder may be given instead of the card in it.
    let path = if path.is_dir() {
        path.join("card")
    } else {
        path.to_path_buf()
    };
    PartyCard::parse(&files::read_text(&path)?)
        .ok_or_else(|| Problem::refused(&path, Refusal::malformed("card", "it does not parse")))
}
