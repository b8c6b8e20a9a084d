//! What a statement may be: read-only, of bounded size and depth, of allowed functions.
//!
//! Sizes are counted on tokens, iteratively, before anything recursive sees the text; the figures
//! are those at which DataFusion was seen to overflow its stack.

use std::collections::BTreeSet;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::query::QueryError;

const MOST_BYTES: usize = 64 << 10;
const MOST_TOKENS: usize = 8_000;
const MOST_DEPTH: usize = 100;
const MOST_OPERATORS: usize = 500;
const SHORTER: &str = "make the statement shorter, or split it";

/// Every function that is offered, a line each. Not among them is what makes long values from short
/// ones (`repeat`, `lpad`), what makes rows from nothing (`generate_series`), and what tells of files.
const FUNCTIONS: &str = include_str!("functions.txt");

/// The one statement in `sql`, if it may be asked.
pub(crate) fn statement(sql: &str) -> Result<Statement, QueryError> {
    if sql.len() > MOST_BYTES {
        let message = format!("the statement has {} bytes, more than {MOST_BYTES}", sql.len());
        return Err(QueryError::limit(message, SHORTER));
    }
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql).tokenize();
    let tokens = tokens.map_err(|error| QueryError::statement(format!("reading SQL: {error}")))?;
    bounded(&tokens)?;
    let parsed = Parser::parse_sql(&dialect, sql);
    let mut statements =
        parsed.map_err(|error| QueryError::statement(format!("reading SQL: {error}")))?;
    match (statements.pop(), statements.pop()) {
        (Some(one), None) => readonly(one),
        (None, _) => Err(QueryError::statement("no statement was given")),
        (Some(_), Some(_)) => Err(QueryError::statement("more than one statement was given")
            .with_hint("ask one statement at a time")),
    }
}

fn bounded(tokens: &[Token]) -> Result<(), QueryError> {
    let (mut depth, mut deepest, mut operators, mut words) = (0_usize, 0, 0, 0);
    for token in tokens {
        match token {
            Token::Whitespace(_) => continue,
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            Token::Word(word) => {
                let word = word.value.as_str();
                let chains = ["AND", "OR", "NOT", "UNION", "INTERSECT", "EXCEPT", "CASE", "JOIN"];
                operators +=
                    usize::from(chains.iter().any(|chain| word.eq_ignore_ascii_case(chain)));
            }
            Token::Number(..) | Token::SingleQuotedString(_) | Token::Comma | Token::Period => {}
            _ => operators += 1,
        }
        words += 1;
        deepest = deepest.max(depth);
    }
    let check = |what: &str, found: usize, most: usize| {
        let message = format!("the statement has {found} {what}, more than {most}");
        if found > most { Err(QueryError::limit(message, SHORTER)) } else { Ok(()) }
    };
    check("tokens", words, MOST_TOKENS)?;
    check("nested brackets", deepest, MOST_DEPTH)?;
    check("operators", operators, MOST_OPERATORS)
}

fn readonly(statement: Statement) -> Result<Statement, QueryError> {
    let asked = match &statement {
        Statement::Explain { statement, .. } => statement.as_ref(),
        other => other,
    };
    match asked {
        Statement::Query(_)
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ExplainTable { .. } => Ok(statement),
        _ => Err(QueryError::statement(
            "only reading is offered: SELECT, EXPLAIN, DESCRIBE, SHOW TABLES",
        )),
    }
}

/// Whether a plan holds only what a reader needs.
pub(crate) fn plan(plan: &LogicalPlan) -> Result<(), QueryError> {
    let mut refused = None;
    let walked = plan.apply_with_subqueries(|node| {
        let name = match node {
            LogicalPlan::Dml(_) => "writing",
            LogicalPlan::Copy(_) => "COPY",
            LogicalPlan::Ddl(DdlStatement::CreateExternalTable(_)) => "reading files",
            LogicalPlan::Ddl(_) => "defining",
            LogicalPlan::Statement(_) => "settings",
            LogicalPlan::RecursiveQuery(_) => "WITH RECURSIVE",
            LogicalPlan::Extension(_) => "extensions",
            LogicalPlan::TableScan(scan) if is_settings(scan.table_name.table()) => "settings",
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        refused = Some(name);
        Ok(TreeNodeRecursion::Stop)
    });
    match (walked, refused) {
        (Ok(_), None) => Ok(()),
        (_, Some(name)) => Err(QueryError::statement(format!("{name} is not offered"))
            .with_hint("only reading is offered: SELECT, EXPLAIN, DESCRIBE, SHOW TABLES")),
        (Err(error), None) => Err(QueryError::statement(format!("planning: {error}"))),
    }
}

/// Whether a table of `information_schema` tells how this program is set up.
fn is_settings(table: &str) -> bool {
    table.eq_ignore_ascii_case("df_settings")
}

/// Takes away every function that is not offered, so that a name that is left is an allowed one.
pub(crate) fn functions(context: &SessionContext) {
    let offered: BTreeSet<&str> = FUNCTIONS.lines().collect();
    let state = context.state();
    let refused = |name: &&String| !offered.contains(name.as_str());
    for name in state.scalar_functions().keys().filter(refused) {
        context.deregister_udf(name);
    }
    for name in state.aggregate_functions().keys().filter(refused) {
        context.deregister_udaf(name);
    }
    for name in state.window_functions().keys().filter(refused) {
        context.deregister_udwf(name);
    }
    for name in state.table_functions().keys() {
        context.deregister_udtf(name);
    }
}
