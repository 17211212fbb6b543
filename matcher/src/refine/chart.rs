//! The picture of a fitted model. In: the model, the candidates' weights, the agreement's thresholds. Out: one SVG: what
//! every level of every comparison adds in bits, and how the weights are spread. Invariant: bytes depend on the model
//! and the weights alone; figures of levels, never of one pair.
//! Specification: docs/OPERATIONS.md, "Evaluation".

use std::fmt::Write;

use super::weights::{Model, RIVALS};
use crate::evaluation::explanation::level_words;

/// Pixels of a line of text, of one bit, and of the page.
const LINE: usize = 18;
const BIT: f64 = 14.0;
const WIDTH: usize = 900;
/// Where the bars' zero stands.
const ZERO: f64 = 520.0;
/// Bits at which the spread's columns begin and end.
const SPREAD: std::ops::RangeInclusive<i32> = -25..=25;

/// The model as SVG. `thresholds` are the bits from which a pair is for review, and a match.
pub fn svg(model: &Model, weights: &[f64], thresholds: (f64, f64)) -> String {
    let mut body = String::new();
    let mut y = 30;
    text(
        &mut body,
        20,
        y,
        "字段相似程度的权重 What a level adds, in bits: log2(m / u)",
    );
    for (at, name) in model.comparisons.iter().enumerate() {
        y += LINE + 6;
        text(&mut body, 20, y, name);
        let (Some(m), Some(u)) = (model.m.get(at), model.u.get(at)) else {
            continue;
        };
        let rivals = name == RIVALS;
        let levels = if rivals { 4 } else { m.len() };
        for level in 0..levels {
            let (m, u) = (m[level], u[level]);
            let bits = (m / u).log2();
            let word = level_words(rivals, u8::try_from(level).ok());
            text(&mut body, 150, y, word);
            text(&mut body, 270, y, &format!("m {m:.4}  u {u:.6}"));
            bar(&mut body, y, bits);
            y += LINE;
        }
    }
    y += 2 * LINE;
    text(
        &mut body,
        20,
        y,
        &format!(
            "候选对权重分布 Weights of {} candidates, bits (对数 log scale); 期望真对 expected true {:.0}; 先验 prior {:.1} bits",
            weights.len(),
            model.expected,
            model.prior_bits
        ),
    );
    y += 170;
    spread(&mut body, y, weights, thresholds);
    let height = y + 40;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

fn text(body: &mut String, x: usize, y: usize, words: &str) {
    let safe = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, "<text x=\"{x}\" y=\"{y}\">{safe}</text>");
}

/// A bar from zero, to the right where a level speaks for the same person.
fn bar(body: &mut String, y: usize, bits: f64) {
    let length = bits.clamp(-25.0, 25.0) * BIT;
    let (x, colour) = if length < 0.0 {
        (ZERO + length, "#b5543c")
    } else {
        (ZERO, "#3c78b5")
    };
    let _ = writeln!(
        body,
        "<rect x=\"{x:.1}\" y=\"{}\" width=\"{:.1}\" height=\"12\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{y}\">{bits:.1}</text>",
        y - 11,
        length.abs(),
        ZERO + length.max(0.0) + 4.0,
    );
}

/// Columns of the weights, one bit each, in logarithms; lines at the thresholds.
fn spread(body: &mut String, floor: usize, weights: &[f64], (review, matched): (f64, f64)) {
    let (first, last) = (*SPREAD.start(), *SPREAD.end());
    let x = |bits: f64| 40.0 + (bits - f64::from(first)) * 16.0;
    for bits in SPREAD {
        let inside = |weight: &&f64| {
            let whole = weight.floor().clamp(f64::from(first), f64::from(last));
            whole.total_cmp(&f64::from(bits)).is_eq()
        };
        let count = weights.iter().filter(inside).count();
        let height = (count as f64 + 1.0).log10() * 30.0;
        let _ = writeln!(
            body,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"14\" height=\"{height:.1}\" fill=\"#777\"><title>{bits}: {count}</title></rect>",
            x(f64::from(bits)),
            floor as f64 - height,
        );
        if bits % 5 == 0 {
            let _ = writeln!(
                body,
                "<text x=\"{:.1}\" y=\"{}\">{bits}</text>",
                x(f64::from(bits)),
                floor + 15
            );
        }
    }
    for (bits, word) in [(review, "待核实 review"), (matched, "匹配 match")] {
        let at = x(bits.clamp(f64::from(first), f64::from(last)));
        let top = floor - 150;
        let _ = writeln!(
            body,
            "<line x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{floor}\" stroke=\"#b5543c\"/><text x=\"{:.1}\" y=\"{}\">{word}</text>",
            at + 3.0,
            top + if word.starts_with('待') { 0 } else { LINE },
        );
    }
}
