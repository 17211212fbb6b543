//! What rules speak of, read off them before anybody signs. In: compiled rules, the registers of an agreement. Out: nothing, or the first rule that asks for
//! a fact that its registers do not have, or compares one with a code that it never takes.
//! Invariant: nothing is evaluated, so no branch is passed over; what is refused here would stop a run later, or never be true and
//! look like a clean result. Specification: docs/OPERATIONS.md, "Rules" (names of operators: cel-spec, "Standard Definitions").

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use hedui_edge::Problem;
use hedui_protocol::agreement::text::{Dataset, Fact, FactKind};

use super::rules::{Rule, Rules};

/// What is read off one rule.
#[derive(Default)]
struct Spoken<'r> {
    /// Facts, in the order in which they are asked for.
    facts: Vec<&'r str>,
    /// Facts with the words with which they are compared.
    compared: Vec<(&'r str, &'r str)>,
    /// Whether it tells registers apart: then each fact need not be in all of them.
    by_register: bool,
}

/// Refuses rules that speak of what the agreement does not have.
///
/// # Errors
/// Names rule and fact or code, with what there is instead.
pub fn check<'d>(
    rules: &Rules,
    registers: impl IntoIterator<Item = &'d Dataset>,
) -> Result<(), Problem> {
    let registers: Vec<&Dataset> = registers.into_iter().collect();
    for rule in &rules.rules {
        let mut spoken = Spoken::default();
        for program in rule.programs() {
            spoken.read(program.expression());
        }
        let registers: Vec<&Dataset> = registers
            .iter()
            .copied()
            .filter(|dataset| rule.registers.iter().any(|r| r == dataset.name.as_str()))
            .collect();
        for fact in &spoken.facts {
            has_fact(rule, &registers, fact, spoken.by_register)?;
        }
        for (fact, word) in &spoken.compared {
            has_code(rule, &registers, fact, word)?;
        }
    }
    Ok(())
}

fn has_fact(
    rule: &Rule,
    registers: &[&Dataset],
    asked: &str,
    by_register: bool,
) -> Result<(), Problem> {
    let without = |dataset: &&&Dataset| named(dataset, asked).is_none();
    let Some(lacking) = registers.iter().find(without) else {
        return Ok(());
    };
    if by_register && !registers.iter().all(|dataset| without(&dataset)) {
        return Ok(());
    }
    let there: Vec<&str> = lacking.fact.iter().map(|fact| fact.name.as_str()).collect();
    Err(problem(
        rule,
        &format!(
            "数据没有该事实项 `{}` has no fact `{asked}`; 现有 it has: {}",
            lacking.name,
            listed(&there)
        ),
    ))
}

fn has_code(rule: &Rule, registers: &[&Dataset], asked: &str, word: &str) -> Result<(), Problem> {
    let facts: Vec<&Fact> = registers
        .iter()
        .filter_map(|dataset| named(dataset, asked))
        .filter(|fact| fact.kind == FactKind::Code)
        .collect();
    let mut there: Vec<&str> = facts
        .iter()
        .flat_map(|fact| &fact.codes)
        .map(String::as_str)
        .collect();
    // An absent value is the empty word.
    if facts.is_empty() || word.is_empty() || there.contains(&word) {
        return Ok(());
    }
    there.sort_unstable();
    there.dedup();
    Err(problem(
        rule,
        &format!(
            "事实项 `{asked}` 没有该代码 is never `{word}`; 现有 its codes are: {}",
            listed(&there)
        ),
    ))
}

fn named<'d>(dataset: &'d Dataset, fact: &str) -> Option<&'d Fact> {
    dataset.fact.iter().find(|own| own.name.as_str() == fact)
}

fn listed(words: &[&str]) -> String {
    if words.is_empty() {
        "无 none".to_owned()
    } else {
        words.join(", ")
    }
}

fn problem(rule: &Rule, why: &str) -> Problem {
    Problem::data(
        format!("rule `{}`: {why}", rule.name),
        "correct the rule file, or add the fact or code under the register's [[dataset.fact]] in the template of the agreement",
    )
}

impl<'r> Spoken<'r> {
    fn read(&mut self, expr: &'r IdedExpr) {
        match &expr.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.by_register |= name == "register",
            Expr::Select(select) => {
                self.by_register |= select.field == "register";
                // `has(fact.x)` asks whether it is there.
                if let Some(fact) = fact_of(expr).filter(|_| !select.test) {
                    self.facts.push(fact);
                }
                self.read(&select.operand);
            }
            Expr::Call(call) => {
                if let [left, right] = &call.args[..] {
                    self.compare(&call.func_name, left, right);
                }
                call.target.iter().for_each(|target| self.read(target));
                call.args.iter().for_each(|part| self.read(part));
            }
            Expr::Comprehension(all) => {
                let parts = [
                    &all.iter_range,
                    &all.accu_init,
                    &all.loop_cond,
                    &all.loop_step,
                    &all.result,
                ];
                parts.into_iter().for_each(|part| self.read(part));
            }
            Expr::List(list) => list.elements.iter().for_each(|part| self.read(part)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(made) => made
                .entries
                .iter()
                .for_each(|entry| self.entry(&entry.expr)),
        }
    }

    fn entry(&mut self, entry: &'r EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.read(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.read(&entry.key);
                self.read(&entry.value);
            }
        }
    }

    fn compare(&mut self, operator: &str, left: &'r IdedExpr, right: &'r IdedExpr) {
        let words: Vec<(&IdedExpr, &IdedExpr)> = match (operator, &right.expr) {
            (operators::IN, Expr::List(list)) => {
                list.elements.iter().map(|word| (left, word)).collect()
            }
            (operators::EQUALS | operators::NOT_EQUALS, _) => vec![(left, right), (right, left)],
            _ => return,
        };
        for (fact, word) in words {
            self.compared.extend(fact_of(fact).zip(word_of(word)));
        }
    }
}

/// The fact that `fact.x`, or `h.fact.x` of a hit `h`, asks for.
fn fact_of(expr: &IdedExpr) -> Option<&str> {
    let Expr::Select(select) = &expr.expr else {
        return None;
    };
    let is_fact = match &select.operand.expr {
        Expr::Ident(name) => name == "fact",
        Expr::Select(inner) => inner.field == "fact",
        _ => false,
    };
    is_fact.then_some(&*select.field)
}

fn word_of(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(word)) => Some(word.inner()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hedui_protocol::agreement::strict;

    use super::*;

    const REGISTERS: [&str; 2] = [
        "name = 'cars'\nnumber = 2\nowner = 'a'\nkind = 'register'\nrows_max = 9\n\
         [[fact]]\nname = 'status'\nkind = 'code'\ncodes = ['normal', 'scrapped']\n\
         [[fact]]\nname = 'since'\nkind = 'date'\n",
        "name = 'flats'\nnumber = 3\nowner = 'a'\nkind = 'register'\nrows_max = 9\n\
         [[fact]]\nname = 'area'\nkind = 'integer'\n\
         [[fact]]\nname = 'status'\nkind = 'code'\ncodes = ['normal', 'sealed']\n",
    ];

    /// What is said of a rule over some of the registers; nothing if it passes.
    fn said(registers: &str, condition: &str, having: &str) -> String {
        let datasets = REGISTERS.map(|text| strict::parse::<Dataset>("dataset", text).unwrap());
        let text = format!(
            "version = 1\n[[rule]]\nname = 'r'\ncategory = 'c'\nclause = 'x'\ndisproof = 'y'\n\
             registers = [{registers}]\nwhere = \"{condition}\"\nhaving = \"{having}\"\n"
        );
        let rules = Rules::parse(&text, None, "2016-06-30").ok().unwrap();
        let problem = check(&rules, &datasets).err();
        problem.map_or(String::new(), |problem| problem.to_string())
    }

    #[test]
    fn rules_that_speak_of_what_is_there_pass() {
        for (registers, condition, having) in [
            ("'cars'", "fact.status == 'normal' && fact.since > 0", ""),
            ("'cars'", "fact.status in ['normal', '']", ""),
            ("'cars', 'flats'", "fact.status != 'sealed'", ""),
            (
                "'cars', 'flats'",
                "register == 'flats' ? fact.area > 60 : fact.since > 0",
                "",
            ),
            ("'flats'", "", "total(hits.map(h, h.fact.area)) > 100"),
            ("'flats'", "!has(fact.kind)", ""),
            ("'flats'", "person.status == 'whatever'", ""),
            ("'elsewhere'", "fact.status == 'normal'", ""),
        ] {
            assert_eq!(
                said(registers, condition, having),
                "",
                "{condition}{having}"
            );
        }
    }

    #[test]
    fn facts_and_codes_that_are_not_there_are_named() {
        for (registers, condition, having, word) in [
            ("'cars'", "fact.statis == 'normal'", "", "`statis`"),
            ("'cars'", "false && fact.area > 60", "", "`area`"),
            ("'cars', 'flats'", "fact.area > 60", "", "`area`"),
            (
                "'cars', 'flats'",
                "register == 'flats' && fact.colour == 'red'",
                "",
                "`colour`",
            ),
            ("'flats'", "", "hits.exists(h, h.fact.since > 0)", "`since`"),
            ("'cars'", "fact.status == 'sealed'", "", "`sealed`"),
            ("'cars'", "'nromal' != fact.status", "", "`nromal`"),
            ("'cars'", "fact.status in ['normal', 'x']", "", "`x`"),
            (
                "'flats'",
                "",
                "hits.filter(h, h.fact.status == 'scrapped').size() > 1",
                "`scrapped`",
            ),
        ] {
            let said = said(registers, condition, having);
            assert!(said.contains(word), "{condition}{having}: {said}");
        }
    }
}
