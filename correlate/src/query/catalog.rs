//! The names that people type: tables, latest versions, and views. A statement opens only those it names.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{cast, lit};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{Statement, visit_relations};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use deltalake::DeltaTable;
use durward_schemas::table::Table;
use durward_schemas::tables::LAKE;

use crate::lake::delta::schema as stored_schema;
use crate::lake::url;
use crate::lake::versions::KEYS;
use crate::query::QueryError;

/// A view: a name and the statement behind it, which opens with what one row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The name that people type.
    pub name: &'static str,
    /// The statement.
    pub sql: &'static str,
}

macro_rules! views {
    ($($name:literal),+ $(,)?) => {
        &[$(View { name: $name, sql: include_str!(concat!("../../views/", $name, ".sql")) }),+]
    };
}

/// Every view of the files in `correlate/views`.
pub const VIEWS: &[View] = views![
    "accesses_after_change",
    "correlated_events",
    "credential_uses",
    "denials",
    "identities",
    "identity_timeline",
    "sources",
    "token_lineage",
];

/// All names that a statement may use, tables and views together.
#[must_use]
pub fn view_names() -> Vec<&'static str> {
    let tables = LAKE.iter().map(|table| table.name);
    let latest = KEYS.iter().map(|(name, _)| *name);
    let mut names: Vec<_> =
        tables.chain(latest).chain(VIEWS.iter().map(|view| view.name)).collect();
    names.sort_unstable();
    names
}

/// Registers what `statement` names, and what those views name in turn.
pub(crate) async fn open(
    context: &SessionContext,
    lake: &Path,
    statement: &Statement,
) -> Result<(), QueryError> {
    let needed = needed(statement)?;
    // Tables first, then views over them: the order of `needed` is that of their needs.
    for name in needed {
        if let Some(table) = LAKE.iter().find(|table| table.name == name) {
            open_table(context, lake, table).await?;
        } else if let Some(sql) = definition(&name) {
            create_view(context, &name, &sql).await?;
        }
    }
    Ok(())
}

/// Names in the order in which they can be made: what a view reads comes before it.
fn needed(statement: &Statement) -> Result<Vec<String>, QueryError> {
    let mut order = Vec::new();
    let lists = matches!(statement, Statement::ShowTables { .. } | Statement::ShowColumns { .. });
    let all = lists || asks_the_catalog(statement);
    let named = if all {
        view_names().into_iter().map(str::to_owned).collect()
    } else {
        relations(statement)
    };
    for name in named {
        need(&name, &mut order)?;
    }
    Ok(order)
}

fn need(name: &str, order: &mut Vec<String>) -> Result<(), QueryError> {
    if order.iter().any(|known| known == name) {
        return Ok(());
    }
    if let Some(sql) = definition(name) {
        let parsed = Parser::parse_sql(&PostgreSqlDialect {}, &sql);
        let parsed = parsed
            .map_err(|error| QueryError::statement(format!("reading view {name}: {error}")))?;
        for inner in parsed.iter().flat_map(relations) {
            need(&inner, order)?;
        }
    }
    order.push(name.to_owned());
    Ok(())
}

/// Whether a statement reads `information_schema`, which can only list what is open.
fn asks_the_catalog(statement: &Statement) -> bool {
    let asks = visit_relations(statement, |relation| {
        let first = relation.0.first().and_then(|part| part.as_ident());
        if first.is_some_and(|ident| ident.value.eq_ignore_ascii_case("information_schema")) {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    });
    asks.is_break()
}

/// Names of tables and views in a statement; names of its own common table expressions do no harm.
fn relations(statement: &Statement) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let _never_breaks: std::ops::ControlFlow<()> = visit_relations(statement, |relation| {
        if let [part] = relation.0.as_slice()
            && let Some(ident) = part.as_ident()
        {
            let quoted = ident.quote_style.is_some();
            names.insert(if quoted { ident.value.clone() } else { ident.value.to_lowercase() });
        }
        std::ops::ControlFlow::Continue(())
    });
    if let Statement::ExplainTable { table_name, .. } = statement {
        names.insert(table_name.to_string());
    }
    names
}

/// The statement behind a name that is no stored table.
fn definition(name: &str) -> Option<String> {
    if let Some(view) = VIEWS.iter().find(|view| view.name == name) {
        return Some(view.sql.to_owned());
    }
    let (bare, keys) = KEYS.iter().find(|(bare, _)| *bare == name)?;
    let table = LAKE.iter().find(|table| table.is_versioned() && table.bare_name() == *bare)?;
    Some(latest(table, keys))
}

/// The latest version of each row.
fn latest(table: &Table, keys: &[&str]) -> String {
    let columns: Vec<_> =
        table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let columns = columns.join(", ");
    let keys = keys.join(", ");
    format!(
        "SELECT {columns}, \"date\" FROM (SELECT *, row_number() OVER \
         (PARTITION BY {keys} ORDER BY version DESC, log_position DESC) AS newest FROM {}) AS v \
         WHERE newest = 1",
        table.name
    )
}

async fn open_table(
    context: &SessionContext,
    lake: &Path,
    table: &Table,
) -> Result<(), QueryError> {
    let fail = |error: &dyn std::fmt::Display| {
        QueryError::data(
            format!("opening table {}: {error}", table.name),
            "look at the data directory with `durward doctor`",
        )
    };
    let url = url(lake, table.name).map_err(|error| fail(&error))?;
    let delta = match DeltaTable::try_from_url(url).await {
        Ok(mut delta) => delta.load().await.map(|()| delta),
        Err(error) => Err(error),
    };
    let delta = delta.map_err(|error| fail(&error))?;
    delta.update_datafusion_session(&context.state()).map_err(|error| fail(&error))?;
    let provider = delta.table_provider().await.map_err(|error| fail(&error))?;
    let provider = with_new_columns(context, provider, table).map_err(|error| fail(&error))?;
    context.register_table(table.name, provider).map_err(|error| fail(&error))?;
    Ok(())
}

/// A table that an older version wrote and no writer has opened since lacks the columns that were
/// added: they are null.
fn with_new_columns(
    context: &SessionContext,
    provider: Arc<dyn TableProvider>,
    table: &Table,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let stored = provider.schema();
    let expected = stored_schema(table);
    let lacks = |field: &&Arc<Field>| stored.field_with_name(field.name()).is_err();
    let new: Vec<_> = expected.fields().iter().filter(lacks).collect();
    if new.is_empty() {
        return Ok(provider);
    }
    let mut frame = context.read_table(provider)?;
    for field in new {
        let null = cast(lit(ScalarValue::Null), field.data_type().clone());
        frame = frame.with_column(field.name(), null)?;
    }
    Ok(frame.into_view())
}

async fn create_view(context: &SessionContext, name: &str, sql: &str) -> Result<(), QueryError> {
    let fail =
        |error: DataFusionError| QueryError::statement(format!("planning view {name}: {error}"));
    let plan = context.state().create_logical_plan(sql).await.map_err(fail)?;
    let view = datafusion::datasource::ViewTable::new(plan, Some(sql.to_owned()));
    context.register_table(name, Arc::new(view)).map_err(fail)?;
    Ok(())
}
