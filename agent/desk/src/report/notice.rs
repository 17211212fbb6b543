//! The public notice in plain language (致困难家庭的一封信). In: the registers of the latest result, the terms. Out: one
//! HTML page. Invariant: names no household; says what is compared, by whom, what is not done, and how to object.
//! Specification: docs/DESK.md, "Reports"; Personal Information Protection Law, articles 17, 44 and 45.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::Source;
use super::html::{escape, wrap};

/// The notice.
pub(super) fn page(source: &Source<'_>) -> String {
    let mut body = String::new();
    let office = escape(&source.book.title);
    let _ = writeln!(
        body,
        "<p>为把社会救助送到真正困难的家庭，{office}依照规定和您签署的授权书，对申请和享受救助的家庭核对经济状况。</p>\
         <h2>核对什么</h2>"
    );
    let titles: BTreeSet<&str> = source
        .book
        .taken
        .last()
        .into_iter()
        .flat_map(|taken| taken.registers.iter().map(|r| r.title.as_str()))
        .collect();
    if titles.is_empty() {
        let _ = writeln!(body, "<p>核对的数据由协议列明，可向{office}询问。</p>");
    } else {
        let list: Vec<String> = titles.iter().map(|title| escape(title)).collect();
        let _ = writeln!(
            body,
            "<p>核对以下登记中是否有您家庭成员的记录：{}。</p>",
            list.join("、")
        );
    }
    let days = &source.book.terms.days;
    let _ = writeln!(
        body,
        "<h2>怎样核对</h2><p>各部门的数据留在本部门，身份信息在本部门加密后再比对；核对中心只看到密文，看不到姓名和证件号码。\
         没有比中的记录，任何人都打不开。</p>\
         <h2>比中了怎么办</h2><p>比中只是线索，不是结论。会有两名以上工作人员核实，并由另一人审核；计算机不会取消任何人的待遇。\
         不共同生活的子女有工作或车辆，只按规定核算赡养费，不会因此直接取消救助。</p>\
         <h2>您的权利</h2><p>您可以查询、更正自己的信息，可以要求说明认定的理由和依据。认定对您不利时，会先告知您；自告知之日起 {} 日内\
         您可以提出异议并提交证据，异议处理完之前不作处理。发现登记错误的，由登记部门更正。</p>\
         <p>请向所在乡镇（街道）民政窗口提出，也可以委托他人代办。</p>\
         <p class=\"note\">{office}　{}</p>",
        days.objection, source.today
    );
    wrap("致困难家庭的一封信", &body)
}
