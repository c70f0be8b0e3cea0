import { type Kysely, sql } from 'kysely'

/**
 * Lists go by id: fewer and narrower indexes on executions, and a table of their tags. See docs/adr/0045. All of this locks the
 * executions, for 3 s a million of them. Nodes of earlier releases stay right, and read more for some lists.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db)
}

/** The triggers that write only what is new here: they refuse nothing that an earlier release writes. */
export const fills = ['workflow_executions_tagged', 'workflow_executions_untagged']

const statements = [
  // At once, and not by and by: a transaction that reads and then writes would deadlock with what is locked in between.
  'LOCK TABLE workflow_executions IN ACCESS EXCLUSIVE MODE',
  // Each row has a second version when its execution ends: where that has no room on the page of the first, it is logged in full.
  'ALTER TABLE workflow_executions SET (fillfactor = 40)',
  // The list, newest first, walks the primary key.
  'DROP INDEX workflow_executions_newest',
  'DROP INDEX workflow_executions_workflow',
  'CREATE INDEX workflow_executions_workflow ON workflow_executions (workflow_id, id)',
  // The list by status. Most executions end as completed: those it finds at once by walking all. What runs has an index of its own,
  // in which every start is the last: in the midst of others it splits pages, and writes 39 bytes more.
  'DROP INDEX workflow_executions_status',
  `CREATE INDEX workflow_executions_status ON workflow_executions (status, id)
    WHERE status NOT IN ('completed', 'running')`,
  `CREATE INDEX workflow_executions_running ON workflow_executions (id) WHERE status = 'running'`,
  // What failed or waits in one workflow, however much does in others.
  `CREATE INDEX workflow_executions_workflow_status ON workflow_executions (workflow_id, status, id)
    WHERE status NOT IN ('completed', 'running')`,
  // What changed in a workflow since the last poll, of what has not ended: workflow_executions_finished has the others.
  'DROP INDEX workflow_executions_changed',
  `CREATE INDEX workflow_executions_changed ON workflow_executions (workflow_id, updated_at)
    WHERE status NOT IN ('completed', 'failed', 'cancelled')`,
  'DROP INDEX workflow_executions_triggered_by',
  `CREATE INDEX workflow_executions_triggered_by ON workflow_executions (triggered_by, id)
    WHERE triggered_by IS NOT NULL`,
  'DROP INDEX workflow_executions_key',
  `CREATE INDEX workflow_executions_key ON workflow_executions (execution_key, id)
    WHERE execution_key IS NOT NULL`,
  'DROP INDEX workflow_executions_parent',
  `CREATE INDEX workflow_executions_parent ON workflow_executions (parent_execution_id, id)
    WHERE parent_execution_id IS NOT NULL`,
  // The list of a tag, newest first. Triggers keep it, whichever statement or release writes; rows without tags fire none.
  'CREATE TABLE execution_tags (tag text, execution_id uuid, PRIMARY KEY (tag, execution_id))',
  `INSERT INTO execution_tags (tag, execution_id)
    SELECT DISTINCT tag, id FROM workflow_executions CROSS JOIN unnest(tags) AS tag WHERE tags <> '{}'`,
  'DROP INDEX workflow_executions_tags',
  `CREATE FUNCTION keep_execution_tags() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    IF TG_OP = 'INSERT' THEN
      INSERT INTO execution_tags (tag, execution_id) SELECT unnest(NEW.tags), NEW.id ON CONFLICT DO NOTHING;
    ELSE
      DELETE FROM execution_tags WHERE tag = ANY (OLD.tags) AND execution_id = OLD.id;
    END IF;
    RETURN NULL;
  END $$`,
  `CREATE TRIGGER workflow_executions_tagged AFTER INSERT ON workflow_executions
    FOR EACH ROW WHEN (NEW.tags <> '{}') EXECUTE FUNCTION keep_execution_tags()`,
  `CREATE TRIGGER workflow_executions_untagged AFTER DELETE ON workflow_executions
    FOR EACH ROW WHEN (OLD.tags <> '{}') EXECUTE FUNCTION keep_execution_tags()`,
]
