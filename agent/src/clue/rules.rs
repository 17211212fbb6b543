//! Rules as data: conditions in CEL with clause, validity and exemptions. In: `rules.toml`. Out: compiled
//! rules. Invariant: every rule compiles before any is evaluated; an error in evaluating one names the
//! rule and stops the run, because a skipped rule would look like a clean result.
//! Specification: docs/OPERATIONS.md, "Rules" (CEL: Common Expression Language).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use cel::{Context, Env, Program, Value};
use hedui_edge::{Problem, files};
use hedui_protocol::agreement::{Agreement, strict};
use hedui_protocol::refusal::Refusal;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    version: u32,
    /// What people read in place of the agreement's words.
    #[serde(default)]
    words: BTreeMap<String, String>,
    #[serde(default)]
    rule: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    name: String,
    category: String,
    #[serde(default)]
    effect: Effect,
    clause: String,
    #[serde(default)]
    valid_from: String,
    #[serde(default)]
    valid_until: String,
    registers: Vec<String>,
    #[serde(default)]
    scope: String,
    #[serde(rename = "where", default)]
    condition: String,
    #[serde(default)]
    having: String,
    #[serde(default)]
    exempt: Vec<ExemptionText>,
    disproof: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExemptionText {
    when: String,
    reason: String,
}

/// What a fulfilled rule leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// A clue.
    #[default]
    Clue,
    /// A task to compute a supporter's contribution; never a clue.
    IncomeTask,
    /// Somebody whom a register's owner should look into because nobody of the roll was found there (应保未保): evaluated by that
    /// owner over its own records, with `register`, `fact` and `today`.
    Absent,
}

/// A compiled rule.
pub struct Rule {
    /// Name within the file.
    pub name: String,
    /// Category in the words of the reports.
    pub category: String,
    /// What it leads to.
    pub effect: Effect,
    /// Provision that it applies.
    pub clause: String,
    /// Registers whose evidence it looks at.
    pub registers: Vec<String>,
    /// What would disprove it.
    pub disproof: String,
    scope: Option<Program>,
    condition: Option<Program>,
    having: Option<Program>,
    exempt: Vec<(Program, String)>,
}

/// All rules of a file that are valid on a day, in the order of the file.
pub struct Rules {
    /// Rules.
    pub rules: Vec<Rule>,
    words: BTreeMap<String, String>,
    env: Arc<Env>,
}

impl Rules {
    /// What people read in place of a word of the agreement: of a fact, code, role or match key.
    pub fn word(&self, word: &str) -> String {
        self.words.get(word).map_or(word, String::as_str).to_owned()
    }

    /// Reads and compiles a rule file; its digest must be the one that the agreement names.
    pub fn read(path: &Path, agreement: &Agreement, today: &str) -> Result<Self, Problem> {
        Self::open(path, agreement, (today, today))
    }

    /// The same with every rule that is valid on some day of the agreement, to try them all before anybody signs.
    pub fn read_whole(path: &Path, agreement: &Agreement) -> Result<Self, Problem> {
        let text = agreement.text();
        Self::open(path, agreement, (&text.valid_from, &text.valid_until))
    }

    fn open(path: &Path, agreement: &Agreement, days: (&str, &str)) -> Result<Self, Problem> {
        let bytes = files::read_small(path)?;
        if !agreement.is_rules(&bytes) {
            return Err(Problem::refused(
                path,
                Refusal::malformed(
                    "copy of the rule file",
                    "it is not the one that the agreement names by its digest",
                ),
            ));
        }
        let text = String::from_utf8_lossy(&bytes);
        Self::compile_all(&text, Some(agreement), days)
            .map_err(|refusal| Problem::refused(path, refusal))
    }

    /// Compiles the text of a rule file; keeps the rules that are valid on a day.
    pub fn parse(text: &str, agreement: Option<&Agreement>, today: &str) -> Result<Self, Refusal> {
        Self::compile_all(text, agreement, (today, today))
    }

    fn compile_all(
        text: &str,
        agreement: Option<&Agreement>,
        (first, last): (&str, &str),
    ) -> Result<Self, Refusal> {
        let file: RuleFile = strict::parse("rule file", text)?;
        let bad = |why: String| Refusal::malformed("rule file", why);
        if file.version != 1 {
            return Err(bad(format!("version {} is not known", file.version)));
        }
        let env = Arc::new(Env::stdlib());
        let mut rules = Vec::new();
        let words = file.words;
        for rule in file.rule {
            for register in &rule.registers {
                let known = agreement.is_none_or(|agreement| {
                    agreement
                        .registers()
                        .any(|dataset| dataset.name.as_str() == register)
                });
                if !known {
                    return Err(bad(format!(
                        "rule `{}`: there is no register `{register}`",
                        rule.name
                    )));
                }
            }
            if rule.effect == Effect::Absent && !(rule.scope.is_empty() && rule.having.is_empty()) {
                return Err(bad(format!(
                    "rule `{}`: `scope` and `having` look at persons of the roll; a rule of the absent has none",
                    rule.name
                )));
            }
            let begun = rule.valid_from.is_empty() || *rule.valid_from <= *last;
            let is_valid = begun && (rule.valid_until.is_empty() || *rule.valid_until >= *first);
            let compiled = compile(&env, rule)?;
            if is_valid {
                rules.push(compiled);
            }
        }
        Ok(Self { rules, words, env })
    }

    /// A context with the variables of one evaluation and the functions of the rule language.
    pub fn context(&self, variables: &[(&str, Value)]) -> Context<'static, 'static> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        // None of the names is declared by the standard library, so adding cannot fail.
        let _ = context.add_function("months_between", months_between);
        let _ = context.add_function("distinct", |list: Arc<Vec<Value>>| distinct(&list));
        let _ = context.add_function("total", |list: Arc<Vec<Value>>| total(&list));
        for (name, value) in variables {
            context.add_variable_from_value(*name, value.clone());
        }
        context
    }
}

fn compile(env: &Env, text: RuleText) -> Result<Rule, Refusal> {
    let program = |what: &str, source: &str| -> Result<Program, Refusal> {
        env.compile(source).map_err(|error| {
            let first = error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned();
            Refusal::malformed(
                "rule file",
                format!("rule `{}`, `{what}`: {first}", text.name),
            )
        })
    };
    let optional = |what: &str, source: &str| {
        if source.is_empty() {
            Ok(None)
        } else {
            program(what, source).map(Some)
        }
    };
    Ok(Rule {
        scope: optional("scope", &text.scope)?,
        condition: optional("where", &text.condition)?,
        having: optional("having", &text.having)?,
        exempt: text
            .exempt
            .iter()
            .map(|exempt| Ok((program("exempt", &exempt.when)?, exempt.reason.clone())))
            .collect::<Result<_, Refusal>>()?,
        name: text.name,
        category: text.category,
        effect: text.effect,
        clause: text.clause,
        registers: text.registers,
        disproof: text.disproof,
    })
}

impl Rule {
    /// All its conditions, by their keys in the file.
    pub fn programs(&self) -> impl Iterator<Item = (&'static str, &Program)> {
        let own = [
            ("scope", &self.scope),
            ("where", &self.condition),
            ("having", &self.having),
        ];
        let own = own.into_iter();
        let exempt = self.exempt.iter().map(|(program, _)| ("exempt", program));
        own.filter_map(|(what, program)| Some((what, program.as_ref()?)))
            .chain(exempt)
    }

    /// Whether persons of this kind are looked at.
    pub fn in_scope(&self, context: &Context<'_, '_>) -> Result<bool, Problem> {
        self.truth("scope", self.scope.as_ref(), context)
    }

    /// Whether a piece of evidence fulfils the condition.
    pub fn holds(&self, context: &Context<'_, '_>) -> Result<bool, Problem> {
        self.truth("where", self.condition.as_ref(), context)
    }

    /// Whether the hits of a unit together fulfil the condition on the whole.
    pub fn has(&self, context: &Context<'_, '_>) -> Result<bool, Problem> {
        self.truth("having", self.having.as_ref(), context)
    }

    /// The reason of the first exemption that applies.
    pub fn exemption(&self, context: &Context<'_, '_>) -> Result<Option<&str>, Problem> {
        for (program, reason) in &self.exempt {
            if self.truth("exempt", Some(program), context)? {
                return Ok(Some(reason));
            }
        }
        Ok(None)
    }

    fn truth(
        &self,
        what: &str,
        program: Option<&Program>,
        context: &Context<'_, '_>,
    ) -> Result<bool, Problem> {
        let Some(program) = program else {
            return Ok(true);
        };
        match program.execute(context) {
            Ok(Value::Bool(truth)) => Ok(truth),
            Ok(_) => Err(self.fault(what, "its value is not true or false")),
            // The message of CEL names functions and keys, but could quote a value: only its kind is shown.
            Err(cel::ExecutionError::NoSuchKey(key)) => Err(self.fault(
                what,
                &format!(
                    "没有 there is no `{key}`: 须是协议中该数据的事实项，或名册字段对应表 [local] 中的列 a fact of the register in the agreement, or \
                     a column under [local] of the roll's mapping"
                ),
            )),
            Err(cel::ExecutionError::UndeclaredReference(name)) => {
                Err(self.fault(what, &format!("there is no variable `{name}`")))
            }
            Err(_) => Err(self.fault(what, "it cannot be evaluated on this roll's columns")),
        }
    }

    fn fault(&self, what: &str, why: &str) -> Problem {
        Problem::data(
            format!("rule `{}`, `{what}`: {why}", self.name),
            "correct the rule file or the mapping; a changed rule file needs a new agreement",
        )
    }
}

/// A map value of CEL.
pub fn map_value(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::from(entries.into_iter().collect::<HashMap<String, Value>>())
}

/// Full months from day `from` to day `to`, both YYYYMMDD; negative if `to` is earlier; 0 if unknown.
fn months_between(from: i64, to: i64) -> i64 {
    if from <= 0 || to <= 0 {
        return 0;
    }
    let months = |day: i64| day / 10_000 * 12 + day / 100 % 100;
    let whole = months(to) - months(from);
    whole - i64::from(to % 100 < from % 100 && to % 100 < 28)
}

/// How many different values a list holds.
fn distinct(list: &[Value]) -> i64 {
    let unlike = |(at, value): &(usize, &Value)| !list[..*at].contains(value);
    i64::try_from(list.iter().enumerate().filter(unlike).count()).unwrap_or(i64::MAX)
}

/// Sum of a list of whole numbers.
fn total(list: &[Value]) -> i64 {
    list.iter()
        .map(|value| {
            if let Value::Int(number) = value {
                *number
            } else {
                0
            }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "version = 1\n[[rule]]\nname = 'car'\ncategory = 'c'\nclause = 'x'\n\
        registers = ['vehicle']\ndisproof = 'y'\nscope = \"person.role == 'member'\"\n\
        where = \"fact.status == 'normal'\"\nhaving = 'size(hits) >= 2 && total(hits.map(h, h.n)) > 3'\n\
        [[rule.exempt]]\nwhen = 'months_between(fact.since, today) < 2'\nreason = 'new'\n";

    #[test]
    fn conditions_scopes_and_exemptions_are_evaluated() {
        let rules = Rules::parse(FILE, None, "2016-06-30").ok().unwrap();
        let person = map_value([("role".to_owned(), Value::from("member"))]);
        let fact = |since: i64| {
            map_value([
                ("status".to_owned(), Value::from("normal")),
                ("since".to_owned(), Value::from(since)),
            ])
        };
        let rule = &rules.rules[0];
        let hit = map_value([("n".to_owned(), Value::from(2_i64))]);
        let context = |since| {
            rules.context(&[
                ("person", person.clone()),
                ("fact", fact(since)),
                ("today", Value::from(20_160_630_i64)),
                ("hits", Value::from(vec![hit.clone(), hit.clone()])),
            ])
        };
        assert!(rule.in_scope(&context(20_150_101)).ok().unwrap());
        assert!(rule.holds(&context(20_150_101)).ok().unwrap());
        assert!(rule.has(&context(20_150_101)).ok().unwrap());
        assert_eq!(rule.exemption(&context(20_150_101)).ok().unwrap(), None);
        assert_eq!(
            rule.exemption(&context(20_160_601)).ok().unwrap(),
            Some("new")
        );
        let empty = rules.context(&[("person", map_value([]))]);
        assert!(
            rule.in_scope(&empty).is_err(),
            "a missing column stops the run"
        );
    }

    #[test]
    fn broken_rules_are_refused_before_anything_is_evaluated() {
        for (from, to) in [
            ("status ==", "status = ="),
            ("clause", "claus"),
            ("version = 1", "version = 9"),
        ] {
            assert!(Rules::parse(&FILE.replace(from, to), None, "2016-06-30").is_err());
        }
        let later = FILE.replace("clause", "valid_from = '2017-01-01'\nclause");
        assert!(
            Rules::parse(&later, None, "2016-06-30")
                .ok()
                .unwrap()
                .rules
                .is_empty()
        );
    }

    #[test]
    fn months_count_full_months() {
        assert_eq!(months_between(20_160_115, 20_160_315), 2);
        assert_eq!(months_between(20_160_115, 20_160_314), 1);
        assert_eq!(months_between(20_160_131, 20_160_229), 1);
        assert_eq!(months_between(0, 20_160_314), 0);
    }
}
