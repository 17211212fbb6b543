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
    if source.book.practice {
        let _ = writeln!(body, "<p class=\"note\">【练习】本信不得张贴、发送。</p>");
    }
    let office = escape(&source.book.title);
    let latest = source.book.taken.last();
    let ground = match latest.and_then(|taken| taken.ground.as_deref()) {
        Some("each-person") => "依照社会救助有关规定和您家签署的核对授权书，",
        Some("inspection") => "依照社会救助有关规定，履行监督检查职责，",
        _ => "依照社会救助有关规定，",
    };
    let _ = writeln!(
        body,
        "<p>困难群众朋友：</p><p>为确保救助资金用于真正困难的家庭，{office}{ground}对申请、享受社会救助的家庭核对经济状况。</p>\
         <h2>核对什么</h2>"
    );
    let titles: BTreeSet<&str> = latest
        .into_iter()
        .flat_map(|taken| taken.registers.iter().map(|r| r.title.as_str()))
        .collect();
    if titles.is_empty() {
        let _ = writeln!(body, "<p>核对的数据范围可向{office}查询。</p>");
    } else {
        let list: Vec<String> = titles.iter().map(|title| escape(title)).collect();
        let _ = writeln!(
            body,
            "<p>核对以下登记中是否有您和共同生活的家庭成员，以及依规定应当核算赡养（抚养、扶养）费的人员的记录：{}。</p>",
            list.join("、")
        );
    }
    let days = &source.book.terms.days;
    let _ = writeln!(
        body,
        "<h2>怎样核对</h2><p>各部门的数据留在本部门，身份信息在本部门转换为带密钥的编码后再比对；核对中心只处理编码，不接触姓名和身份证\
         号码原文。未比对一致的记录，民政部门和核对中心均不能查看其内容。编码后的信息仍按个人信息予以保护。</p>\
         <h2>核对有疑点怎么办</h2><p>核对有疑点只是线索，不是结论，由两名以上工作人员核查，再由其他人员审核；不会仅凭比对结果取消、减发\
         救助待遇。未共同生活的子女等赡养义务人有工作、有车的，依规定核算赡养费，不因此直接取消救助。</p>\
         <h2>您的权利</h2><p>您可以查询、更正自己的信息，可以要求说明认定的理由和依据。拟取消、减发救助待遇或者追缴的，会事先书面告知您\
         事实、理由和依据；自告知之日起 {} 日（自然日）内，您可以陈述、申辩，提出异议并提交证据，异议处理完毕前不作上述处理。对处理决定\
         不服的，可以依法申请行政复议或者提起行政诉讼。发现登记错误的，由登记部门更正。</p>\
         <p>请向户籍地或居住地乡镇（街道）社会救助窗口提出，也可以委托他人代办。</p>\
         <p>咨询电话：＿＿＿＿＿＿　监督举报电话：＿＿＿＿＿＿　核对信息保存期限：＿＿＿＿，期满删除。</p>\
         <p style=\"text-align:right\">{office}<br>{}</p>",
        days.objection, source.today
    );
    wrap("致困难群众的一封信", &body)
}
