//! The report in four sections (四个讲清楚: 来龙去脉、政策规则、部门职责、问题和原因). In: figures. Out: one HTML page without
//! scripts or outside parts, to be read on screen or printed to PDF. Invariant: every text from data is escaped; every
//! figure of the first table leads to the list of its cases on the same page.
//! Specification: docs/DESK.md, "Reports".

use std::fmt::Write;

use super::Source;
use super::figures::{Figures, Tally, approved_outcome, chosen, percent, township_of};
use crate::feedback;
use crate::money::yuan;
use crate::words::{Measure, Outcome, Stage};

const STYLE: &str = "body{font-family:'Noto Sans CJK SC','Source Han Sans SC','Microsoft YaHei',SimSun,sans-serif;\
margin:2em auto;max-width:62em;line-height:1.6;color:#111}h1{text-align:center}h2{margin-top:2em;border-bottom:2px solid #333}\
table{border-collapse:collapse;width:100%;margin:.8em 0}th,td{border:1px solid #777;padding:.3em .5em;text-align:right}\
th{background:#f0f0f0}th:first-child,td:first-child,td.t{text-align:left}caption{font-weight:bold;text-align:left}\
.note{color:#444;font-size:.9em}a{color:#064}@media print{body{margin:0;max-width:none;font-size:10pt}a{color:inherit;\
text-decoration:none}h2{break-after:avoid}tr{break-inside:avoid}details{display:block}}";

/// Text from data, made harmless.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// A page around a body.
pub(super) fn wrap(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"zh-CN\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{0}</title><style>{STYLE}</style></head><body>\n<h1>{0}</h1>\n{body}</body></html>\n",
        escape(title)
    )
}

/// The report.
pub(super) fn page(source: &Source<'_>, figures: &Figures) -> String {
    let mut body = String::new();
    let _ = writeln!(
        body,
        "<p class=\"note\">{}。认定结果经第二人审核后计入。</p>",
        escape(&source.commitment())
    );
    history(&mut body, source, figures);
    policy(&mut body, source);
    departments(&mut body, source, figures);
    problems(&mut body, source, figures);
    lists(&mut body, source, figures);
    let title = format!(
        "{}关于运用大数据开展惠民政策落实监督检查情况的报告（{}）",
        source.book.title,
        source.span()
    );
    wrap(&title, &body)
}

fn history(body: &mut String, source: &Source<'_>, figures: &Figures) {
    let _ = writeln!(body, "<h2>一、讲清楚工作历史沿革和发展趋势</h2>");
    let all = &figures.all;
    let _ = writeln!(
        body,
        "<p>共比对 {} 次，产生线索及任务 {} 件：问题线索 {} 件、待核实身份 {} 件、赡养费核算 {} 件。已销号 {} 件，销号率 {}；\
         超期未办 {} 件；撤回 {} 件；异议 {} 件，其中改变认定 {} 件。</p>",
        source.book.taken.len(),
        all.total(),
        kind_total(figures, crate::words::Kind::Clue),
        kind_total(figures, crate::words::Kind::Review),
        kind_total(figures, crate::words::Kind::IncomeTask),
        all.stage(Stage::Closed),
        all.closed_percent(),
        all.overdue,
        all.withdrawn,
        all.objections.0,
        all.objections.1,
    );
    let _ = writeln!(
        body,
        "<table><caption>各期比对</caption><tr><th>期次</th><th>接收日期</th><th>比对数据项数</th><th>比对一致记录</th><th>待核实记录</th><th>身份矛盾记录</th></tr>"
    );
    for taken in &source.book.taken {
        let sum = |read: fn(&crate::handover::RegisterSummary) -> u64| -> u64 {
            taken.registers.iter().map(read).sum()
        };
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&taken.period),
            taken.day,
            taken.registers.len(),
            sum(|r| r.matches),
            sum(|r| r.reviews),
            sum(|r| r.conflicts)
        );
    }
    let _ = writeln!(body, "</table>");
}

fn kind_total(figures: &Figures, kind: crate::words::Kind) -> u64 {
    figures.kinds.get(&kind).map_or(0, Tally::total)
}

fn policy(body: &mut String, source: &Source<'_>) {
    let terms = &source.book.terms;
    let _ = writeln!(body, "<h2>二、讲清楚政策规定和制度措施</h2>");
    let _ = writeln!(
        body,
        "<p>交办后 {} 日（自然日）内完成核查，告知后 {} 日（自然日）内可以陈述、申辩，提出异议，审核后 {} 日内处理。核查须两人以上，认定和审核须为不同的人；\
         赡养费按“{}”核算（低保标准每人每月 {} 元）。</p>",
        terms.days.visit,
        terms.days.objection,
        terms.days.act,
        escape(&terms.income.clause),
        terms.line()
    );
    let _ = writeln!(
        body,
        "<table><caption>认定要点</caption><tr><th>问题类别</th><th>核实要点</th><th>不得认定查实的回答</th><th>依据</th></tr>"
    );
    for question in &terms.question {
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td class=\"t\">{}</td><td class=\"t\">{}</td><td class=\"t\">{}</td></tr>",
            escape(&question.category),
            escape(&question.ask),
            question.disproved_by.zh(),
            escape(&question.clause)
        );
    }
    let _ = writeln!(body, "</table>");
}

fn departments(body: &mut String, source: &Source<'_>, figures: &Figures) {
    let _ = writeln!(body, "<h2>三、讲清楚各级部门职责</h2>");
    let Some(taken) = source.book.taken.last() else {
        let _ = writeln!(body, "<p>尚未接收比对结果。</p>");
        return;
    };
    let _ = writeln!(
        body,
        "<p>谁监管、谁录入、谁负责、谁修改。最近一期各部门数据如下。</p>"
    );
    let _ = writeln!(
        body,
        "<table><caption>{} 各部门比对数据</caption><tr><th>比对数据</th><th>提供部门</th><th>数据截止日</th><th>比对一致</th><th>待核实</th><th>身份矛盾</th><th>涉及线索</th><th>不属实</th></tr>",
        escape(&taken.period)
    );
    for register in &taken.registers {
        let tally = figures.registers.get(&register.title);
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td class=\"t\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&register.title),
            escape(match register.owner_title.as_str() {
                "" => &register.owner,
                title => title,
            }),
            escape(&register.as_of),
            register.matches,
            register.reviews,
            register.conflicts,
            tally.map_or(0, Tally::total),
            tally.map_or(0, |t| t.outcome(Outcome::Unfounded))
        );
    }
    let _ = writeln!(body, "</table>");
}

fn problems(body: &mut String, source: &Source<'_>, figures: &Figures) {
    let _ = writeln!(body, "<h2>四、讲清楚当前存在的主要问题及成因</h2>");
    let _ = writeln!(
        body,
        "<table><caption>各类问题核查结果</caption><tr><th>问题类别</th><th>线索</th><th>查实</th><th>部分属实</th><th>不属实</th><th>无法核实</th><th>未认定</th><th>取消、清退</th><th>减发</th><th>追缴（元）</th><th>移交</th></tr>"
    );
    for (at, (category, tally)) in figures.in_order(source.book).into_iter().enumerate() {
        row(
            body,
            &format!("<a href=\"#c{at}\">{}</a>", escape(category)),
            tally,
        );
    }
    let mut total = Vec::new();
    total.extend(figures.categories.values());
    sum_row(body, &total);
    let _ = writeln!(body, "</table>");
    let _ = writeln!(
        body,
        "<table><caption>各乡镇进度</caption><tr><th>乡镇</th><th>线索数</th><th>待交办</th><th>待签收</th><th>核查中</th><th>待认定、审核</th><th>告知、申辩及处理中</th><th>已销号</th><th>销号率</th><th>超期</th></tr>"
    );
    for (township, tally) in &figures.townships {
        let _ = writeln!(
            body,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(township),
            tally.total(),
            tally.stage(Stage::Issued),
            tally.stage(Stage::Assigned),
            tally.stage(Stage::Accepted),
            tally.stage(Stage::Visited) + tally.stage(Stage::Concluded),
            [Stage::Approved, Stage::Told, Stage::Disputed, Stage::Acted]
                .map(|s| tally.stage(s))
                .iter()
                .sum::<u64>(),
            tally.stage(Stage::Closed),
            tally.closed_percent(),
            tally.overdue
        );
    }
    let _ = writeln!(body, "</table>");
    let feedback = feedback::of(source.book);
    let _ = writeln!(
        body,
        "<table><caption>属实比例（含部分属实；括号内为 95% 可信范围和样本数，全部期次）</caption><tr><th>范围</th><th>名称</th><th>比例</th></tr>"
    );
    let groups = [
        ("问题类别", &feedback.categories),
        ("规则", &feedback.rules),
        ("比对数据", &feedback.registers),
        ("匹配依据（同一人比例）", &feedback.keys),
    ];
    for (group, shares) in groups {
        for (name, share) in shares {
            let _ = writeln!(
                body,
                "<tr><td>{group}</td><td class=\"t\">{}</td><td>{}</td></tr>",
                escape(name),
                escape(&share.text())
            );
        }
    }
    let _ = writeln!(body, "</table>");
    for proposal in &feedback.proposals {
        let _ = writeln!(body, "<p>建议：{}。</p>", escape(&proposal.zh));
    }
    concentration(body, figures);
}

/// Villages where cases pile up: causes are looked for there first.
fn concentration(body: &mut String, figures: &Figures) {
    let mut villages: Vec<_> = figures.villages.iter().collect();
    villages.sort_by(|(a, x), (b, y)| y.total().cmp(&x.total()).then(a.cmp(b)));
    let top: u64 = villages.iter().take(5).map(|(_, t)| t.total()).sum();
    if villages.len() > 5 {
        let names: Vec<String> = villages
            .iter()
            .take(5)
            .map(|((township, village), t)| format!("{township}{village}（{}）", t.total()))
            .collect();
        let _ = writeln!(
            body,
            "<p>线索最多的五个村（社区）共 {top} 件，占 {}：{}。</p>",
            percent(top, figures.all.total()),
            escape(&names.join("、"))
        );
    }
}

fn row(body: &mut String, name: &str, tally: &Tally) {
    sum_cells(body, name, &[tally]);
}

fn sum_row(body: &mut String, tallies: &[&Tally]) {
    sum_cells(body, "合计", tallies);
}

fn sum_cells(body: &mut String, name: &str, tallies: &[&Tally]) {
    let sum = |read: &dyn Fn(&Tally) -> u64| -> u64 { tallies.iter().map(|t| read(t)).sum() };
    let decided: u64 = Outcome::ALL.iter().map(|o| sum(&|t| t.outcome(*o))).sum();
    let total = sum(&Tally::total);
    let fen: i64 = tallies.iter().map(|t| t.measure(Measure::Recover).1).sum();
    let _ = writeln!(
        body,
        "<tr><td>{name}</td><td>{total}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        sum(&|t| t.outcome(Outcome::Confirmed)),
        sum(&|t| t.outcome(Outcome::Partly)),
        sum(&|t| t.outcome(Outcome::Unfounded)),
        sum(&|t| t.outcome(Outcome::Unclear)),
        total - decided,
        sum(&|t| t.measure(Measure::Cancel).0 + t.measure(Measure::Remove).0),
        sum(&|t| t.measure(Measure::Reduce).0),
        yuan(fen),
        sum(&|t| t.measure(Measure::HandOver).0),
    );
}

/// The cases behind the figures, without names: a report travels further than a case file.
fn lists(body: &mut String, source: &Source<'_>, figures: &Figures) {
    let _ = writeln!(body, "<h2>附：线索清单（不含姓名）</h2>");
    for (at, (category, _)) in figures.in_order(source.book).into_iter().enumerate() {
        let _ = writeln!(
            body,
            "<h3 id=\"c{at}\">{}</h3><table><tr><th>编号</th><th>乡镇</th><th>村（社区）</th><th>期次</th><th>状态</th><th>结果</th></tr>",
            escape(category)
        );
        let cases = chosen(source.book, source.period);
        for case in cases.filter(|case| !case.is_task() && case.new.category == category) {
            let _ = writeln!(
                body,
                "<tr><td>{}</td><td class=\"t\">{}</td><td class=\"t\">{}</td><td>{}</td><td class=\"t\">{}</td><td class=\"t\">{}</td></tr>",
                case.number(),
                escape(&township_of(case)),
                escape(&case.new.village),
                escape(&case.new.period),
                if case.withdrawn {
                    "已撤回"
                } else {
                    case.stage.zh()
                },
                approved_outcome(case).map_or("", Outcome::zh)
            );
        }
        let _ = writeln!(body, "</table>");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_from_data_cannot_become_markup() {
        assert_eq!(
            super::escape("<a href='x'>&\""),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;"
        );
    }
}
