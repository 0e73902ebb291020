-- A ledger to which its owner has added a trigger and a column is written with both.
\set org '\'e1000000-0000-4000-8000-000000000001\''
SELECT holdfast.create_workflow(:org) AS workflow \gset
CREATE TABLE seen (id uuid, cost numeric, region text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.seen VALUES (NEW.id, NEW.cost, NEW.region);
    RETURN NULL;
END $$;
ALTER TABLE holdfast.ai_usage_ledger ADD COLUMN region text DEFAULT 'north';
CREATE TRIGGER see AFTER INSERT ON holdfast.ai_usage_ledger FOR EACH ROW EXECUTE FUNCTION see();
SELECT cost, total_ai_cost FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 10, 5, 0.25,
    'e1000000-0000-4000-8000-000000000101');
SELECT cost, duplicate FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 10, 5, 0.25,
    'e1000000-0000-4000-8000-000000000101');
SELECT entry, cost, error FROM holdfast.record_usage_batch(:org, jsonb_build_array(
    jsonb_build_object('model', 'gpt-4o-mini', 'cost', 0.5), jsonb_build_object('model', 'gpt-4o-mini', 'cost', 0.125)));
SELECT cost, region, s.id = l.id AS same FROM seen s JOIN holdfast.ai_usage_ledger l USING (cost, region) WHERE l.organization_id = :org ORDER BY cost;

-- Without them entries are written again as before, in the same session.
DROP TRIGGER see ON holdfast.ai_usage_ledger;
ALTER TABLE holdfast.ai_usage_ledger DROP COLUMN region;
SELECT cost, total_ai_cost FROM holdfast.record_usage_and_increment(:'workflow', :org, 'gpt-4o-mini', 10, 5, 0.25);
SELECT count(*) FROM seen;
SELECT * FROM holdfast.check_invariants();
DROP TABLE seen;
DROP FUNCTION see();
