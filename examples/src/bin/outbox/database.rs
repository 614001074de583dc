//! A database with orders and an outbox.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Context as _;
use carrier_core::StoredContext;
use carrier_examples::unique_name;
use rusqlite::{Connection, OptionalExtension as _};

/// For Debezium, which reads the outbox in place of a relay, the column is `tracingspancontext` and what goes into it
/// `StoredContext::to_properties`.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS orders (
        id    INTEGER PRIMARY KEY,
        what  TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS outbox (
        id        INTEGER PRIMARY KEY AUTOINCREMENT,
        order_id  INTEGER NOT NULL REFERENCES orders,
        payload   TEXT NOT NULL,
        context   TEXT NOT NULL,
        sent      INTEGER NOT NULL DEFAULT 0
    );";

pub(crate) struct Database(Connection);

/// A row of the outbox.
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) order: u32,
    pub(crate) payload: String,
    pub(crate) context: StoredContext,
}

impl Database {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(path).and_then(|connection| {
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        });
        Ok(Self(connection.with_context(|| format!("no database at {}", path.display()))?))
    }

    /// Writes an order and, for the relay, what to publish about it: both or neither.
    pub(crate) fn write(&mut self, id: u32, what: &str, context: &StoredContext) -> anyhow::Result<()> {
        let transaction = self.0.transaction()?;
        transaction.execute("INSERT INTO orders (id, what) VALUES (?1, ?2)", (id, what))?;
        transaction.execute(
            "INSERT INTO outbox (order_id, payload, context) VALUES (?1, ?2, ?3)",
            (id, what, serde_json::to_string(context)?),
        )?;
        Ok(transaction.commit()?)
    }

    /// The oldest row that is not marked as sent.
    pub(crate) fn next(&self) -> anyhow::Result<Option<Row>> {
        let query = "SELECT id, order_id, payload, context FROM outbox WHERE sent = 0 ORDER BY id LIMIT 1";
        let row = self.0.query_row(query, (), |row| {
            let context: String = row.get(3)?;
            // Whatever somebody made of the column: a row is published, if need be in a trace of its own.
            let context = serde_json::from_str(&context).unwrap_or_default();
            Ok(Row { id: row.get(0)?, order: row.get(1)?, payload: row.get(2)?, context })
        });
        Ok(row.optional()?)
    }

    pub(crate) fn mark(&self, row: &Row) -> anyhow::Result<()> {
        self.0.execute("UPDATE outbox SET sent = 1 WHERE id = ?1", [row.id])?;
        Ok(())
    }

    pub(crate) fn unsent(&self) -> anyhow::Result<usize> {
        Ok(self.0.query_row("SELECT count(*) FROM outbox WHERE sent = 0", (), |row| row.get(0))?)
    }

    /// What one of the rows holds, to be shown.
    pub(crate) fn a_context(&self) -> anyhow::Result<Option<String>> {
        Ok(self.0.query_row("SELECT context FROM outbox LIMIT 1", (), |row| row.get(0)).optional()?)
    }
}

/// A folder that goes away with this program.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn create() -> anyhow::Result<Self> {
        let path = env::temp_dir().join(unique_name("carrier-outbox"));
        fs::create_dir_all(&path).with_context(|| format!("no folder {}", path.display()))?;
        // Another program is told where it is, and may be somewhere else.
        Ok(Self(path.canonicalize()?))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("shop.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder for temporary files that stays is no failure.
        let _ = fs::remove_dir_all(&self.0);
    }
}
