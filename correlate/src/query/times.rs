//! Times as people type them: `'2026-07-23 10:01'`, without seconds, is compared with times too.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

/// Gives the seconds to texts that become times, where they lack them. To run behind the coercion of types.
#[derive(Debug)]
pub(super) struct WholeMinutes;

impl AnalyzerRule for WholeMinutes {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        let of_node = |node: LogicalPlan| {
            node.map_expressions(|expr| expr.transform_up(|expr| Ok(with_seconds(expr))))
        };
        plan.transform_up_with_subqueries(of_node).map(|changed| changed.data)
    }

    fn name(&self) -> &'static str {
        "whole_minutes"
    }
}

fn with_seconds(mut expr: Expr) -> Transformed<Expr> {
    let is_time = match &expr {
        Expr::Cast(cast) => matches!(cast.field.data_type(), DataType::Timestamp(..)),
        Expr::TryCast(cast) => matches!(cast.field.data_type(), DataType::Timestamp(..)),
        _ => false,
    };
    let inner = match &mut expr {
        Expr::Cast(cast) if is_time => &mut cast.expr,
        Expr::TryCast(cast) if is_time => &mut cast.expr,
        _ => return Transformed::no(expr),
    };
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = inner.as_mut() else {
        return Transformed::no(expr);
    };
    let form: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if matches!(form.as_str(), "0000-00-00 00:00" | "0000-00-00T00:00") {
        text.push_str(":00");
        return Transformed::yes(expr);
    }
    Transformed::no(expr)
}
