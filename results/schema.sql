-- The results database, schema 0017. Made from harness/store/tables.py and views/ by
-- `python -m harness.store.reference`; edgebench itself makes and upgrades databases.

-- The exact model files of one precision. How they came to be is in `lineage`.
CREATE TABLE artifact (
	id VARCHAR NOT NULL,
	weight_bytes BIGINT,
	parameters BIGINT,
	bits_per_weight FLOAT,
	files JSON NOT NULL,
	CONSTRAINT pk_artifact PRIMARY KEY (id)
);

-- Framework x model x precision x device x workload. The id is made of what it is; nothing here is a version.
CREATE TABLE cell (
	id VARCHAR NOT NULL,
	framework VARCHAR NOT NULL,
	model VARCHAR NOT NULL,
	precision VARCHAR NOT NULL,
	recipe VARCHAR NOT NULL,
	device VARCHAR NOT NULL,
	api VARCHAR NOT NULL,
	workload VARCHAR NOT NULL,
	prompt_tokens INTEGER NOT NULL,
	decode_tokens INTEGER NOT NULL,
	depth INTEGER NOT NULL,
	options JSON NOT NULL,
	batch INTEGER DEFAULT 1 NOT NULL,
	source VARCHAR,
	CONSTRAINT pk_cell PRIMARY KEY (id)
);
CREATE INDEX ix_cell_framework_model ON cell (framework, model);

-- A framework's environment: exactly these packages. An update makes another one.
CREATE TABLE environment (
	id VARCHAR NOT NULL,
	framework VARCHAR NOT NULL,
	role VARCHAR NOT NULL,
	variant VARCHAR NOT NULL,
	python VARCHAR NOT NULL,
	CONSTRAINT pk_environment PRIMARY KEY (id)
);

-- A host: what an update of software does not change, and nothing that names one specimen.
CREATE TABLE machine (
	id VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	cpu_model VARCHAR,
	arch VARCHAR,
	sockets INTEGER,
	physical_cores INTEGER,
	logical_cores INTEGER,
	memory_bytes BIGINT,
	accelerators JSON NOT NULL,
	CONSTRAINT pk_machine PRIMARY KEY (id)
);

-- The names of samples, so that a sample holds a small number instead of a name.
CREATE TABLE metric (
	"key" INTEGER NOT NULL,
	name VARCHAR NOT NULL,
	CONSTRAINT pk_metric PRIMARY KEY ("key"),
	CONSTRAINT ck_metric_joules CHECK (replace(replace(name, 'estimated_joules', ''), 'joules', '') = replace(name, 'estimated_joules', '')),
	CONSTRAINT uq_metric_name UNIQUE (name)
);

-- A source model. All columns but the last, which follows from them, make the id.
CREATE TABLE model (
	id VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	source VARCHAR NOT NULL,
	sha256 VARCHAR NOT NULL,
	licence VARCHAR,
	architecture VARCHAR NOT NULL,
	parameters BIGINT,
	configuration JSON,
	CONSTRAINT pk_model PRIMARY KEY (id)
);
CREATE INDEX ix_model_name ON model (name);

-- Which program brought this database to which schema, so that an older one can say what it takes to read it.
CREATE TABLE schema_revision (
	revision VARCHAR NOT NULL,
	edgebench_version VARCHAR NOT NULL,
	applied_at DATETIME NOT NULL,
	CONSTRAINT pk_schema_revision PRIMARY KEY (revision)
);

-- One resolved package of an environment.
CREATE TABLE environment_package (
	environment_id VARCHAR NOT NULL,
	name VARCHAR NOT NULL,
	version VARCHAR NOT NULL,
	hash VARCHAR,
	CONSTRAINT pk_environment_package PRIMARY KEY (environment_id, name),
	CONSTRAINT fk_environment_package_environment_id_environment FOREIGN KEY(environment_id) REFERENCES environment (id)
)
 WITHOUT ROWID;

-- One way in which an artifact was made. Two recipes, or two machines, may come to the same bytes.
CREATE TABLE lineage (
	id VARCHAR NOT NULL,
	artifact_id VARCHAR NOT NULL,
	model_id VARCHAR NOT NULL,
	framework VARCHAR NOT NULL,
	recipe VARCHAR NOT NULL,
	precision VARCHAR NOT NULL,
	source_artifact_id VARCHAR,
	environment_id VARCHAR,
	tool VARCHAR NOT NULL,
	tool_version VARCHAR NOT NULL,
	parameters JSON NOT NULL,
	notes JSON NOT NULL,
	made_s FLOAT,
	made_at DATETIME NOT NULL,
	made_peak_bytes BIGINT,
	CONSTRAINT pk_lineage PRIMARY KEY (id),
	CONSTRAINT fk_lineage_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id),
	CONSTRAINT fk_lineage_model_id_model FOREIGN KEY(model_id) REFERENCES model (id),
	CONSTRAINT fk_lineage_source_artifact_id_artifact FOREIGN KEY(source_artifact_id) REFERENCES artifact (id),
	CONSTRAINT fk_lineage_environment_id_environment FOREIGN KEY(environment_id) REFERENCES environment (id)
);
CREATE INDEX ix_lineage_artifact_id ON lineage (artifact_id);
CREATE INDEX ix_lineage_environment_id ON lineage (environment_id);

-- What a machine's memory and arithmetic can do, measured by `edgebench doctor --bench`; the newest counts.
CREATE TABLE machine_bench (
	id VARCHAR NOT NULL,
	machine_id VARCHAR NOT NULL,
	measured_at DATETIME NOT NULL,
	edgebench_version VARCHAR NOT NULL,
	threads INTEGER NOT NULL,
	array_bytes BIGINT NOT NULL,
	last_level_cache_bytes BIGINT,
	read_bytes_per_s FLOAT NOT NULL,
	read_median_bytes_per_s FLOAT NOT NULL,
	copy_bytes_per_s FLOAT NOT NULL,
	copy_median_bytes_per_s FLOAT NOT NULL,
	fp32_flops FLOAT NOT NULL,
	fp32_median_flops FLOAT NOT NULL,
	int8_ops FLOAT,
	int8_median_ops FLOAT,
	reasons JSON NOT NULL,
	method JSON NOT NULL,
	state JSON NOT NULL,
	validity VARCHAR NOT NULL,
	flags JSON NOT NULL,
	CONSTRAINT pk_machine_bench PRIMARY KEY (id),
	CONSTRAINT ck_machine_bench_validity CHECK (validity IN ('ok', 'suspect')),
	CONSTRAINT fk_machine_bench_machine_id_machine FOREIGN KEY(machine_id) REFERENCES machine (id)
);
CREATE INDEX ix_machine_bench_machine_id_measured_at ON machine_bench (machine_id, measured_at);

-- One invocation, with the state of the machine that no cell is named after; or one file that was imported.
CREATE TABLE session (
	id VARCHAR NOT NULL,
	machine_id VARCHAR NOT NULL,
	suite VARCHAR NOT NULL,
	suite_sha256 VARCHAR NOT NULL,
	suite_text TEXT,
	settings JSON NOT NULL,
	"trigger" VARCHAR NOT NULL,
	commit_sha VARCHAR,
	command_line JSON NOT NULL,
	edgebench_version VARCHAR NOT NULL,
	system JSON NOT NULL,
	seed BIGINT,
	started_at DATETIME,
	ended_at DATETIME,
	status VARCHAR NOT NULL,
	resumed INTEGER NOT NULL,
	origin VARCHAR DEFAULT 'measured' NOT NULL,
	CONSTRAINT pk_session PRIMARY KEY (id),
	CONSTRAINT ck_session_status CHECK (status IN ('running', 'ok', 'failed', 'interrupted')),
	CONSTRAINT ck_session_origin CHECK (origin IN ('measured', 'imported')),
	CONSTRAINT fk_session_machine_id_machine FOREIGN KEY(machine_id) REFERENCES machine (id)
);
CREATE INDEX ix_session_of_machine ON session (machine_id, started_at, id);
CREATE INDEX ix_session_started_at ON session (started_at);

-- A change point of a series that is worth a look: raised once, and what a person made of it. All but the
-- columns that make the id may be replaced where databases are merged: the later state of an alert stands.
CREATE TABLE alert (
	id VARCHAR NOT NULL,
	session_id VARCHAR NOT NULL,
	place INTEGER NOT NULL,
	cell_id VARCHAR NOT NULL,
	machine_id VARCHAR NOT NULL,
	metric VARCHAR NOT NULL,
	session_before_id VARCHAR NOT NULL,
	session_after_id VARCHAR NOT NULL,
	time_before DATETIME,
	time_after DATETIME,
	first_session_id VARCHAR NOT NULL,
	last_session_id VARCHAR NOT NULL,
	value_before FLOAT NOT NULL,
	value_after FLOAT NOT NULL,
	ratio FLOAT,
	ratio_low FLOAT,
	ratio_high FLOAT,
	confidence FLOAT NOT NULL,
	direction VARCHAR NOT NULL,
	raised_at DATETIME NOT NULL,
	state VARCHAR NOT NULL,
	note TEXT,
	state_changed_at DATETIME NOT NULL,
	CONSTRAINT pk_alert PRIMARY KEY (id),
	CONSTRAINT ck_alert_direction CHECK (direction IN ('up', 'down')),
	CONSTRAINT ck_alert_state CHECK (state IN ('open', 'acknowledged', 'resolved')),
	CONSTRAINT ck_alert_note CHECK (state = 'open' OR note IS NOT NULL),
	CONSTRAINT fk_alert_session_id_session FOREIGN KEY(session_id) REFERENCES session (id),
	CONSTRAINT fk_alert_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id),
	CONSTRAINT fk_alert_machine_id_machine FOREIGN KEY(machine_id) REFERENCES machine (id),
	CONSTRAINT fk_alert_session_before_id_session FOREIGN KEY(session_before_id) REFERENCES session (id),
	CONSTRAINT fk_alert_session_after_id_session FOREIGN KEY(session_after_id) REFERENCES session (id),
	CONSTRAINT fk_alert_first_session_id_session FOREIGN KEY(first_session_id) REFERENCES session (id),
	CONSTRAINT fk_alert_last_session_id_session FOREIGN KEY(last_session_id) REFERENCES session (id)
);
CREATE INDEX ix_alert_cell_id_machine_id_metric ON alert (cell_id, machine_id, metric);
CREATE INDEX ix_alert_session_id ON alert (session_id);

-- What ended the repeating of a cell's runs in a session. No row: their number was fixed, or it goes on.
CREATE TABLE cell_stop (
	session_id VARCHAR NOT NULL,
	cell_id VARCHAR NOT NULL,
	ended_by VARCHAR NOT NULL,
	width FLOAT NOT NULL,
	min_runs INTEGER NOT NULL,
	max_runs INTEGER NOT NULL,
	runs INTEGER NOT NULL,
	clean_runs INTEGER NOT NULL,
	widths JSON NOT NULL,
	CONSTRAINT pk_cell_stop PRIMARY KEY (session_id, cell_id),
	CONSTRAINT ck_cell_stop_ended_by CHECK (ended_by IN ('width', 'cap', 'failed')),
	CONSTRAINT fk_cell_stop_session_id_session FOREIGN KEY(session_id) REFERENCES session (id),
	CONSTRAINT fk_cell_stop_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id)
);

-- What a gate judged: head's session against base's, or against what was stored.
CREATE TABLE gate (
	id VARCHAR NOT NULL,
	session_id VARCHAR NOT NULL,
	base_session_id VARCHAR,
	kind VARCHAR NOT NULL,
	status VARCHAR NOT NULL,
	summary TEXT NOT NULL,
	edgebench_version VARCHAR NOT NULL,
	judged_at DATETIME NOT NULL,
	settings JSON NOT NULL,
	details JSON NOT NULL,
	CONSTRAINT pk_gate PRIMARY KEY (id),
	CONSTRAINT ck_gate_kind CHECK (kind IN ('change', 'baseline')),
	CONSTRAINT ck_gate_status CHECK (status IN ('pass', 'fail', 'inconclusive')),
	CONSTRAINT fk_gate_session_id_session FOREIGN KEY(session_id) REFERENCES session (id),
	CONSTRAINT fk_gate_base_session_id_session FOREIGN KEY(base_session_id) REFERENCES session (id)
);
CREATE INDEX ix_gate_base_session_id ON gate (base_session_id);
CREATE INDEX ix_gate_session_id ON gate (session_id);

-- The shuffled order of a session. What stands here and not in `run` is missing: a resume does exactly that.
CREATE TABLE planned_run (
	session_id VARCHAR NOT NULL,
	position INTEGER NOT NULL,
	cell_id VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	run_index INTEGER NOT NULL,
	seed BIGINT,
	CONSTRAINT pk_planned_run PRIMARY KEY (session_id, position),
	CONSTRAINT uq_planned_run_session_id_cell_id_kind_run_index UNIQUE (session_id, cell_id, kind, run_index),
	CONSTRAINT fk_planned_run_session_id_session FOREIGN KEY(session_id) REFERENCES session (id),
	CONSTRAINT fk_planned_run_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id)
);

-- One attempt to make an artifact on a machine: what it took, or why it failed. Found in the cache is none.
CREATE TABLE preparation (
	id VARCHAR NOT NULL,
	machine_id VARCHAR NOT NULL,
	session_id VARCHAR,
	model VARCHAR NOT NULL,
	framework VARCHAR NOT NULL,
	recipe VARCHAR NOT NULL,
	environment_id VARCHAR,
	tool VARCHAR NOT NULL,
	tool_version VARCHAR NOT NULL,
	artifact_id VARCHAR,
	status VARCHAR NOT NULL,
	reason TEXT,
	error TEXT,
	log_tail TEXT,
	seconds FLOAT NOT NULL,
	peak_bytes BIGINT,
	threads INTEGER NOT NULL,
	jobs INTEGER NOT NULL,
	started_at DATETIME NOT NULL,
	CONSTRAINT pk_preparation PRIMARY KEY (id),
	CONSTRAINT ck_preparation_status CHECK (status IN ('ok', 'failed', 'oom', 'timeout')),
	CONSTRAINT fk_preparation_machine_id_machine FOREIGN KEY(machine_id) REFERENCES machine (id),
	CONSTRAINT fk_preparation_session_id_session FOREIGN KEY(session_id) REFERENCES session (id),
	CONSTRAINT fk_preparation_environment_id_environment FOREIGN KEY(environment_id) REFERENCES environment (id),
	CONSTRAINT fk_preparation_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id)
);
CREATE INDEX ix_preparation_artifact_id ON preparation (artifact_id);
CREATE INDEX ix_preparation_model_framework_recipe ON preparation (model, framework, recipe);

-- One worker process executing one cell once, or scoring one artifact once; also where it failed.
CREATE TABLE run (
	"key" INTEGER NOT NULL,
	id VARCHAR NOT NULL,
	session_id VARCHAR NOT NULL,
	cell_id VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	run_index INTEGER NOT NULL,
	attempt INTEGER NOT NULL,
	status VARCHAR NOT NULL,
	reason TEXT,
	phase VARCHAR,
	error TEXT,
	log_tail TEXT,
	artifact_id VARCHAR,
	environment_id VARCHAR,
	framework_version VARCHAR,
	versions JSON NOT NULL,
	device JSON,
	hints JSON NOT NULL,
	threads INTEGER,
	seed BIGINT,
	started_at DATETIME,
	duration_s FLOAT,
	phases_s JSON NOT NULL,
	harness_s FLOAT,
	vocab_size INTEGER,
	kv_cache_bytes BIGINT,
	validity VARCHAR,
	flags JSON NOT NULL,
	machine_state JSON NOT NULL,
	details JSON NOT NULL,
	CONSTRAINT pk_run PRIMARY KEY ("key"),
	CONSTRAINT ck_run_status CHECK (status IN ('ok', 'skipped', 'failed', 'timeout', 'oom')),
	CONSTRAINT ck_run_validity CHECK (validity IN ('ok', 'suspect')),
	CONSTRAINT uq_run_session_id_cell_id_kind_run_index_attempt UNIQUE (session_id, cell_id, kind, run_index, attempt),
	CONSTRAINT uq_run_id UNIQUE (id),
	CONSTRAINT fk_run_session_id_session FOREIGN KEY(session_id) REFERENCES session (id),
	CONSTRAINT fk_run_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id),
	CONSTRAINT fk_run_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id),
	CONSTRAINT fk_run_environment_id_environment FOREIGN KEY(environment_id) REFERENCES environment (id)
);
CREATE INDEX ix_run_artifact_id ON run (artifact_id);
CREATE INDEX ix_run_cell_id_started_at ON run (cell_id, started_at);
CREATE INDEX ix_run_environment_id_started_at ON run (environment_id, started_at);
CREATE INDEX ix_run_of_cell ON run (cell_id, kind, session_id, run_index, attempt, status, validity, framework_version);

-- The plan: one cell of one session, also where it cannot run.
CREATE TABLE session_cell (
	session_id VARCHAR NOT NULL,
	cell_id VARCHAR NOT NULL,
	position INTEGER NOT NULL,
	reason TEXT,
	expected_s FLOAT,
	settings JSON NOT NULL,
	CONSTRAINT pk_session_cell PRIMARY KEY (session_id, cell_id),
	CONSTRAINT fk_session_cell_session_id_session FOREIGN KEY(session_id) REFERENCES session (id),
	CONSTRAINT fk_session_cell_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id)
);
CREATE INDEX ix_session_cell_cell_id ON session_cell (cell_id);

-- The file that an imported session came from, and by whose definitions its figures are to be read.
CREATE TABLE session_import (
	session_id VARCHAR NOT NULL,
	tool VARCHAR NOT NULL,
	tool_version VARCHAR,
	format VARCHAR NOT NULL,
	file_name VARCHAR NOT NULL,
	file_sha256 VARCHAR NOT NULL,
	file_bytes BIGINT NOT NULL,
	other_files JSON NOT NULL,
	definitions JSON NOT NULL,
	document JSON NOT NULL,
	CONSTRAINT pk_session_import PRIMARY KEY (session_id),
	CONSTRAINT fk_session_import_session_id_session FOREIGN KEY(session_id) REFERENCES session (id)
);
CREATE INDEX ix_session_import_file_sha256 ON session_import (file_sha256);

-- The energy of one window of a run, or the reason why there is none. The constraints make it impossible to
-- store a joule without its meter, method and domain, or an estimate as a measurement.
CREATE TABLE energy_reading (
	run_key INTEGER NOT NULL,
	position SMALLINT NOT NULL,
	phase VARCHAR NOT NULL,
	gross_joules FLOAT,
	net_joules FLOAT,
	tokens INTEGER,
	deepest_tokens INTEGER,
	window_s FLOAT,
	idle_watts FLOAT,
	idle_watts_before FLOAT,
	idle_watts_after FLOAT,
	idle_drift BOOLEAN,
	meter VARCHAR,
	domain VARCHAR,
	method VARCHAR,
	resolution_s FLOAT,
	resolution_joules FLOAT,
	domain_joules JSON,
	estimate_joules FLOAT,
	estimate_label VARCHAR,
	reason TEXT,
	CONSTRAINT pk_energy_reading PRIMARY KEY (run_key, position),
	CONSTRAINT ck_energy_reading_method CHECK (method IN ('counter', 'power')),
	CONSTRAINT ck_energy_reading_measured CHECK ((gross_joules IS NULL AND net_joules IS NULL AND idle_watts IS NULL AND idle_watts_before IS NULL AND idle_watts_after IS NULL AND domain_joules IS NULL) OR (meter IS NOT NULL AND trim(meter) <> '' AND method IS NOT NULL AND domain IS NOT NULL AND trim(domain) <> '' AND estimate_joules IS NULL)),
	CONSTRAINT ck_energy_reading_gross CHECK (gross_joules IS NOT NULL OR (net_joules IS NULL AND reason IS NOT NULL)),
	CONSTRAINT ck_energy_reading_window CHECK (gross_joules IS NULL OR (gross_joules > 0 AND tokens IS NOT NULL AND tokens > 0 AND window_s IS NOT NULL AND window_s > 0)),
	CONSTRAINT ck_energy_reading_estimate CHECK ((estimate_joules IS NULL AND estimate_label IS NULL) OR (estimate_joules IS NOT NULL AND estimate_label IS NOT NULL AND estimate_label <> '')),
	CONSTRAINT fk_energy_reading_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key")
)
 WITHOUT ROWID;

-- What evaluating tasks on an artifact gave; device, environment and hints are its run's.
CREATE TABLE evaluation (
	run_key INTEGER NOT NULL,
	evaluation_key VARCHAR NOT NULL,
	artifact_id VARCHAR,
	settings JSON NOT NULL,
	chat_template BOOLEAN NOT NULL,
	items_limit INTEGER,
	max_length INTEGER,
	environment_id VARCHAR,
	lm_eval_version VARCHAR,
	truncated INTEGER,
	reference_run_key INTEGER,
	quality_reference VARCHAR,
	details JSON NOT NULL,
	CONSTRAINT pk_evaluation PRIMARY KEY (run_key),
	CONSTRAINT fk_evaluation_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key"),
	CONSTRAINT fk_evaluation_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id),
	CONSTRAINT fk_evaluation_environment_id_environment FOREIGN KEY(environment_id) REFERENCES environment (id),
	CONSTRAINT fk_evaluation_reference_run_key_run FOREIGN KEY(reference_run_key) REFERENCES run ("key")
);
CREATE INDEX ix_evaluation_artifact_id ON evaluation (artifact_id);
CREATE INDEX ix_evaluation_evaluation_key ON evaluation (evaluation_key);

-- The verdict of a gate on one metric of one cell.
CREATE TABLE gate_verdict (
	gate_id VARCHAR NOT NULL,
	position INTEGER NOT NULL,
	session_id VARCHAR NOT NULL,
	cell VARCHAR NOT NULL,
	base_cell_id VARCHAR,
	head_cell_id VARCHAR,
	metric VARCHAR NOT NULL,
	verdict VARCHAR NOT NULL,
	ratio FLOAT,
	ratio_low FLOAT,
	ratio_high FLOAT,
	pairs INTEGER,
	fresh_pairs INTEGER,
	detectable FLOAT,
	p_value FLOAT,
	reason TEXT NOT NULL,
	details JSON NOT NULL,
	CONSTRAINT pk_gate_verdict PRIMARY KEY (gate_id, position),
	CONSTRAINT ck_gate_verdict_verdict CHECK (verdict IN ('pass', 'regression', 'improvement', 'inconclusive', 'broken', 'missing', 'unmeasured')),
	CONSTRAINT fk_gate_verdict_gate_id_gate FOREIGN KEY(gate_id) REFERENCES gate (id),
	CONSTRAINT fk_gate_verdict_session_id_session FOREIGN KEY(session_id) REFERENCES session (id),
	CONSTRAINT fk_gate_verdict_base_cell_id_cell FOREIGN KEY(base_cell_id) REFERENCES cell (id),
	CONSTRAINT fk_gate_verdict_head_cell_id_cell FOREIGN KEY(head_cell_id) REFERENCES cell (id)
);
CREATE INDEX ix_gate_verdict_head_cell_id_metric ON gate_verdict (head_cell_id, metric);
CREATE INDEX ix_gate_verdict_session_id ON gate_verdict (session_id);

-- The memory of a run's worker at the end of a phase.
CREATE TABLE memory_reading (
	run_key INTEGER NOT NULL,
	position SMALLINT NOT NULL,
	phase VARCHAR NOT NULL,
	peak_rss_bytes BIGINT,
	rss_bytes BIGINT,
	anon_bytes BIGINT,
	file_bytes BIGINT,
	device_bytes BIGINT,
	allocator_peak_bytes BIGINT,
	method VARCHAR NOT NULL,
	reason TEXT,
	shared_bytes BIGINT,
	pss_bytes BIGINT,
	uss_bytes BIGINT,
	shares_reason TEXT,
	device_shared BOOLEAN,
	device_note TEXT,
	CONSTRAINT pk_memory_reading PRIMARY KEY (run_key, position),
	CONSTRAINT fk_memory_reading_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key")
)
 WITHOUT ROWID;

-- A run's memory over time, read by its runner through the system's counters, 20 times a second.
CREATE TABLE memory_timeline (
	run_key INTEGER NOT NULL,
	scope VARCHAR NOT NULL,
	method VARCHAR NOT NULL,
	interval_s FLOAT NOT NULL,
	readings INTEGER NOT NULL,
	seconds FLOAT NOT NULL,
	watcher_cpu_s FLOAT NOT NULL,
	marks JSON NOT NULL,
	names JSON NOT NULL,
	data BLOB NOT NULL,
	reason TEXT,
	CONSTRAINT pk_memory_timeline PRIMARY KEY (run_key),
	CONSTRAINT fk_memory_timeline_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key")
);

-- One raw number of one repetition.
CREATE TABLE sample (
	run_key INTEGER NOT NULL,
	metric_key SMALLINT NOT NULL,
	repetition SMALLINT NOT NULL,
	warmup BOOLEAN NOT NULL,
	value FLOAT NOT NULL,
	CONSTRAINT pk_sample PRIMARY KEY (run_key, metric_key, repetition),
	CONSTRAINT fk_sample_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key"),
	CONSTRAINT fk_sample_metric_key_metric FOREIGN KEY(metric_key) REFERENCES metric ("key")
)
 WITHOUT ROWID;

-- What scoring an artifact gave; device, environment and hints are its run's.
CREATE TABLE score (
	run_key INTEGER NOT NULL,
	scoring_key VARCHAR NOT NULL,
	artifact_id VARCHAR NOT NULL,
	corpus VARCHAR NOT NULL,
	corpus_sha256 VARCHAR NOT NULL,
	window_tokens INTEGER NOT NULL,
	stride_tokens INTEGER NOT NULL,
	score_from INTEGER NOT NULL,
	bos INTEGER,
	positions INTEGER NOT NULL,
	reference_run_key INTEGER,
	quality_reference VARCHAR,
	kld_median FLOAT,
	kld_p99 FLOAT,
	kld_p999 FLOAT,
	kld_max FLOAT,
	finite BOOLEAN NOT NULL,
	vocab_size INTEGER NOT NULL,
	details JSON NOT NULL,
	method VARCHAR,
	delta_p JSON,
	errors JSON,
	CONSTRAINT pk_score PRIMARY KEY (run_key),
	CONSTRAINT fk_score_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key"),
	CONSTRAINT fk_score_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id),
	CONSTRAINT fk_score_reference_run_key_run FOREIGN KEY(reference_run_key) REFERENCES run ("key")
);
CREATE INDEX ix_score_artifact_id ON score (artifact_id);
CREATE INDEX ix_score_scoring_key ON score (scoring_key);

-- A figure that an imported file has of several repetitions together: no sample, nothing is computed from it.
CREATE TABLE statistic (
	run_key INTEGER NOT NULL,
	position SMALLINT NOT NULL,
	metric VARCHAR NOT NULL,
	statistic VARCHAR NOT NULL,
	value FLOAT NOT NULL,
	n INTEGER,
	stddev FLOAT,
	CONSTRAINT pk_statistic PRIMARY KEY (run_key, position),
	CONSTRAINT ck_statistic_statistic CHECK (statistic IN ('mean', 'median', 'minimum', 'maximum', 'value')),
	CONSTRAINT ck_statistic_joules CHECK (replace(replace(metric, 'estimated_joules', ''), 'joules', '') = replace(metric, 'estimated_joules', '')),
	CONSTRAINT fk_statistic_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key")
);

-- Many numbers of one repetition, such as the time of each token.
CREATE TABLE trace (
	run_key INTEGER NOT NULL,
	name VARCHAR NOT NULL,
	repetition SMALLINT NOT NULL,
	warmup BOOLEAN NOT NULL,
	dtype VARCHAR NOT NULL,
	data BLOB NOT NULL,
	CONSTRAINT pk_trace PRIMARY KEY (run_key, name, repetition),
	CONSTRAINT ck_trace_dtype CHECK (dtype IN ('int64', 'float64')),
	CONSTRAINT fk_trace_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key")
);

-- The figures of every scored position of one window: percentiles, errors and worst passages come from here.
CREATE TABLE score_positions (
	run_key INTEGER NOT NULL,
	window_index INTEGER NOT NULL,
	data BLOB NOT NULL,
	CONSTRAINT pk_score_positions PRIMARY KEY (run_key, window_index),
	CONSTRAINT fk_score_positions_run_key_score FOREIGN KEY(run_key) REFERENCES score (run_key)
);

-- Sums over the scored positions of one window, in nats: the unit of paired comparisons.
CREATE TABLE score_window (
	run_key INTEGER NOT NULL,
	window_index INTEGER NOT NULL,
	positions INTEGER NOT NULL,
	nll_sum FLOAT NOT NULL,
	kld_sum FLOAT,
	same_top INTEGER,
	delta_p_sq_sum FLOAT,
	bytes INTEGER,
	CONSTRAINT pk_score_window PRIMARY KEY (run_key, window_index),
	CONSTRAINT fk_score_window_run_key_score FOREIGN KEY(run_key) REFERENCES score (run_key)
)
 WITHOUT ROWID;

-- Which evaluation stands for a cell in a session: made there, or earlier under the same key.
CREATE TABLE session_evaluation (
	session_id VARCHAR NOT NULL,
	cell_id VARCHAR NOT NULL,
	run_key INTEGER NOT NULL,
	CONSTRAINT pk_session_evaluation PRIMARY KEY (session_id, cell_id),
	CONSTRAINT fk_session_evaluation_session_id_session FOREIGN KEY(session_id) REFERENCES session (id),
	CONSTRAINT fk_session_evaluation_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id),
	CONSTRAINT fk_session_evaluation_run_key_evaluation FOREIGN KEY(run_key) REFERENCES evaluation (run_key)
)
 WITHOUT ROWID;

-- Which score stands for a cell in a session: measured there, or earlier under the same scoring key.
CREATE TABLE session_score (
	session_id VARCHAR NOT NULL,
	cell_id VARCHAR NOT NULL,
	run_key INTEGER NOT NULL,
	CONSTRAINT pk_session_score PRIMARY KEY (session_id, cell_id),
	CONSTRAINT fk_session_score_session_id_session FOREIGN KEY(session_id) REFERENCES session (id),
	CONSTRAINT fk_session_score_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id),
	CONSTRAINT fk_session_score_run_key_score FOREIGN KEY(run_key) REFERENCES score (run_key)
)
 WITHOUT ROWID;

-- What the model said to one item of one task.
CREATE TABLE task_answer (
	run_key INTEGER NOT NULL,
	task VARCHAR NOT NULL,
	item INTEGER NOT NULL,
	item_sha256 VARCHAR NOT NULL,
	loglikelihoods BLOB,
	text TEXT,
	CONSTRAINT pk_task_answer PRIMARY KEY (run_key, task, item),
	CONSTRAINT fk_task_answer_run_key_evaluation FOREIGN KEY(run_key) REFERENCES evaluation (run_key)
);

-- A task, group or name of an evaluation that has no figures.
CREATE TABLE task_hole (
	run_key INTEGER NOT NULL,
	task VARCHAR NOT NULL,
	position SMALLINT NOT NULL,
	status VARCHAR NOT NULL,
	reason TEXT NOT NULL,
	CONSTRAINT pk_task_hole PRIMARY KEY (run_key, task),
	CONSTRAINT ck_task_hole_status CHECK (status IN ('failed', 'skipped')),
	CONSTRAINT fk_task_hole_run_key_evaluation FOREIGN KEY(run_key) REFERENCES evaluation (run_key)
);

-- The value of one metric for one item: the unit of flips and McNemar's test.
CREATE TABLE task_item (
	run_key INTEGER NOT NULL,
	position SMALLINT NOT NULL,
	item INTEGER NOT NULL,
	value FLOAT NOT NULL,
	CONSTRAINT pk_task_item PRIMARY KEY (run_key, position, item),
	CONSTRAINT fk_task_item_run_key_evaluation FOREIGN KEY(run_key) REFERENCES evaluation (run_key)
)
 WITHOUT ROWID;

-- One metric of one task over all its items, or of a group of tasks.
CREATE TABLE task_result (
	run_key INTEGER NOT NULL,
	position SMALLINT NOT NULL,
	task VARCHAR NOT NULL,
	metric VARCHAR NOT NULL,
	version VARCHAR NOT NULL,
	n INTEGER NOT NULL,
	value FLOAT NOT NULL,
	stderr FLOAT,
	num_fewshot INTEGER,
	higher_is_better BOOLEAN,
	corpus_sha256 VARCHAR,
	CONSTRAINT pk_task_result PRIMARY KEY (run_key, position),
	CONSTRAINT uq_task_result_run_key_task_metric UNIQUE (run_key, task, metric),
	CONSTRAINT fk_task_result_run_key_evaluation FOREIGN KEY(run_key) REFERENCES evaluation (run_key)
);

-- Whether an artifact computes the model's function, as one score showed it.
CREATE TABLE verdict (
	run_key INTEGER NOT NULL,
	artifact_id VARCHAR NOT NULL,
	verdict VARCHAR NOT NULL,
	reason TEXT,
	CONSTRAINT pk_verdict PRIMARY KEY (run_key),
	CONSTRAINT ck_verdict_verdict CHECK (verdict IN ('ok', 'broken')),
	CONSTRAINT fk_verdict_run_key_score FOREIGN KEY(run_key) REFERENCES score (run_key),
	CONSTRAINT fk_verdict_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id)
);
CREATE INDEX ix_verdict_artifact_id ON verdict (artifact_id);

-- One row for each series (one cell on one machine): what the newest session that measured it measured. Two
-- rows may be of different sessions and versions, and say so.
CREATE VIEW v_cells_latest AS
SELECT
    session.machine_id AS machine_id,
    machine.name AS machine,
    series.cell_id AS cell_id,
    cell.framework AS framework,
    cell.model AS model,
    cell.precision AS precision,
    cell.recipe AS recipe,
    cell.device AS device,
    cell.api AS api,
    cell.workload AS workload,
    cell.depth AS depth,
    cell.batch AS batch,
    session.id AS session_id,
    session.suite AS suite,
    session.started_at AS session_started_at,
    session.trigger AS trigger,
    session.commit_sha AS commit_sha,
    session.edgebench_version AS edgebench_version,
    (SELECT CASE WHEN min(v) = max(v) THEN min(v) ELSE min(v) || ', ' || max(v) END FROM (SELECT one.framework_version AS v FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt)) AS told) AS framework_version,
    (SELECT count(*) FROM (SELECT 1 AS v FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt)) AS counted) AS runs,
    (SELECT count(*) FROM (SELECT 1 AS v FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt)))) AS counted) AS n,
    CASE WHEN EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = session.id AND measured.cell_id = series.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt)) THEN 'ok' WHEN EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = session.id AND measured.cell_id = series.cell_id AND measured.validity IS NOT NULL AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt)) THEN 'suspect' END AS validity,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT cell.batch * cell.prompt_tokens / sample.value AS v FROM sample WHERE sample.run_key = one.key AND sample.metric_key = (SELECT metric.key FROM metric WHERE metric.name = 'prefill_s') AND NOT sample.warmup AND sample.value > 0 AND cell.batch * cell.prompt_tokens > 0) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS v FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS prefill_tps,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT cell.batch * cell.decode_tokens / sample.value AS v FROM sample WHERE sample.run_key = one.key AND sample.metric_key = (SELECT metric.key FROM metric WHERE metric.name = 'decode_s') AND NOT sample.warmup AND sample.value > 0 AND cell.batch * cell.decode_tokens > 0) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS v FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS decode_tps,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT sample.value AS v FROM sample WHERE sample.run_key = one.key AND sample.metric_key = (SELECT metric.key FROM metric WHERE metric.name = 'ttft_s') AND NOT sample.warmup) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS v FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS ttft_s,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT reading.peak_rss_bytes FROM memory_reading AS reading WHERE reading.run_key = one.key AND reading.peak_rss_bytes IS NOT NULL ORDER BY reading.position DESC LIMIT 1) AS v FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS peak_rss_bytes,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT ((SELECT reading.peak_rss_bytes FROM memory_reading AS reading WHERE reading.run_key = one.key AND reading.peak_rss_bytes IS NOT NULL ORDER BY reading.position DESC LIMIT 1) - (SELECT reading.rss_bytes FROM memory_reading AS reading WHERE reading.run_key = one.key AND reading.rss_bytes IS NOT NULL AND reading.phase = 'import' ORDER BY reading.position ASC LIMIT 1)) AS v FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS own_bytes,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT max(reading.device_bytes) FROM memory_reading AS reading WHERE reading.run_key = one.key) AS v FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS device_bytes,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT reading.gross_joules / reading.tokens AS v FROM energy_reading AS reading WHERE reading.run_key = one.key AND reading.phase = 'prefill' AND reading.tokens > 0) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS v FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS energy_joules_per_prefill_token,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT reading.gross_joules / reading.tokens AS v FROM energy_reading AS reading WHERE reading.run_key = one.key AND reading.phase = 'decode' AND reading.tokens > 0) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS v FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS energy_joules_per_decode_token,
    (SELECT min(v) FROM (SELECT (SELECT min(reading.meter || ' ' || reading.domain || ' (' || reading.method || ')') FROM energy_reading AS reading WHERE reading.run_key = one.key AND reading.gross_joules IS NOT NULL) AS v FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt)))) AS told) AS energy_source,
    artifact.weight_bytes AS weight_bytes,
    artifact.bits_per_weight AS bits_per_weight,
    artifact.id AS artifact_id,
    verdict.verdict AS artifact_verdict,
    (SELECT sum(own.nll_sum) / NULLIF(sum(own.positions), 0) FROM score_window AS own WHERE own.run_key = score.run_key) AS nll_mean,
    (WITH RECURSIVE exponent(x) AS (SELECT (SELECT sum(own.nll_sum) / NULLIF(sum(own.positions), 0) FROM score_window AS own WHERE own.run_key = score.run_key)), series(k, term, x) AS (SELECT 0, CAST(1 AS DOUBLE PRECISION), x FROM exponent WHERE x > -700 AND x < 700 UNION ALL SELECT k + 1, term * x / (k + 1), x FROM series WHERE abs(term) > 1e-30) SELECT sum(term) FROM series) AS perplexity,
    (WITH RECURSIVE exponent(x) AS (SELECT (SELECT CASE WHEN sum(CASE WHEN other.positions = own.positions THEN 1 ELSE 0 END) = count(*) THEN sum(own.nll_sum - other.nll_sum) / NULLIF(sum(own.positions), 0) END FROM score_window AS own LEFT JOIN score_window AS other ON other.run_key = score.reference_run_key AND other.window_index = own.window_index WHERE own.run_key = score.run_key)), series(k, term, x) AS (SELECT 0, CAST(1 AS DOUBLE PRECISION), x FROM exponent WHERE x > -700 AND x < 700 UNION ALL SELECT k + 1, term * x / (k + 1), x FROM series WHERE abs(term) > 1e-30) SELECT sum(term) FROM series) AS perplexity_ratio,
    (SELECT CASE WHEN count(own.bytes) = count(*) THEN sum(own.nll_sum) / 0.6931471805599453 / NULLIF(sum(own.bytes), 0) END FROM score_window AS own WHERE own.run_key = score.run_key) AS bits_per_byte,
    (SELECT CASE WHEN count(own.kld_sum) = count(*) THEN sum(own.kld_sum) / NULLIF(sum(own.positions), 0) END FROM score_window AS own WHERE own.run_key = score.run_key) AS kld_mean,
    (SELECT CASE WHEN count(own.same_top) = count(*) THEN CAST(sum(own.same_top) AS DOUBLE PRECISION) / NULLIF(sum(own.positions), 0) END FROM score_window AS own WHERE own.run_key = score.run_key) AS same_top,
    score.quality_reference AS quality_reference,
    score.corpus AS corpus,
    score.window_tokens AS window_tokens,
    score.kld_median AS kld_median,
    score.kld_p99 AS kld_p99,
    (SELECT count(*) FROM session_cell AS planned JOIN session AS newer ON newer.id = planned.session_id WHERE planned.cell_id = series.cell_id AND newer.machine_id = series.machine_id AND newer.started_at > session.started_at) AS sessions_since
FROM (SELECT DISTINCT session.machine_id, session_cell.cell_id FROM session_cell JOIN session ON session.id = session_cell.session_id) AS series
JOIN session ON session.id = (SELECT newer.id FROM session AS newer WHERE newer.machine_id = series.machine_id AND EXISTS (SELECT 1 FROM session_cell AS planned WHERE planned.session_id = newer.id AND planned.cell_id = series.cell_id) AND EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = newer.id AND measured.cell_id = series.cell_id AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt)) ORDER BY newer.started_at DESC NULLS LAST, newer.id DESC LIMIT 1)
JOIN machine ON machine.id = session.machine_id
JOIN cell ON cell.id = series.cell_id
LEFT JOIN session_score AS link ON link.session_id = session.id AND link.cell_id = series.cell_id
LEFT JOIN score ON score.run_key = link.run_key
LEFT JOIN verdict ON verdict.run_key = link.run_key
LEFT JOIN artifact ON artifact.id = coalesce((SELECT one.artifact_id FROM run AS one WHERE one.session_id = session.id AND one.cell_id = series.cell_id AND one.kind = 'timed' AND one.artifact_id IS NOT NULL ORDER BY one.run_index DESC, one.attempt DESC LIMIT 1), score.artifact_id);

-- What each session measured of each cell: medians over the session's runs. A series (one cell on one
-- machine) in order of `session_started_at` is its history. What a session measured nothing of is in
-- `v_coverage`.
CREATE VIEW v_history AS
SELECT
    session.machine_id AS machine_id,
    machine.name AS machine,
    planned.cell_id AS cell_id,
    cell.framework AS framework,
    cell.model AS model,
    cell.precision AS precision,
    cell.recipe AS recipe,
    cell.device AS device,
    cell.api AS api,
    cell.workload AS workload,
    cell.depth AS depth,
    cell.batch AS batch,
    session.id AS session_id,
    session.suite AS suite,
    session.started_at AS session_started_at,
    session.trigger AS trigger,
    session.commit_sha AS commit_sha,
    session.edgebench_version AS edgebench_version,
    (SELECT CASE WHEN min(v) = max(v) THEN min(v) ELSE min(v) || ', ' || max(v) END FROM (SELECT one.framework_version AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt)) AS told) AS framework_version,
    (SELECT count(*) FROM (SELECT 1 AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt)) AS counted) AS runs,
    (SELECT count(*) FROM (SELECT 1 AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt)))) AS counted) AS n,
    CASE WHEN EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = planned.session_id AND measured.cell_id = planned.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt)) THEN 'ok' WHEN EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = planned.session_id AND measured.cell_id = planned.cell_id AND measured.validity IS NOT NULL AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt)) THEN 'suspect' END AS validity,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT cell.batch * cell.prompt_tokens / sample.value AS v FROM sample WHERE sample.run_key = one.key AND sample.metric_key = (SELECT metric.key FROM metric WHERE metric.name = 'prefill_s') AND NOT sample.warmup AND sample.value > 0 AND cell.batch * cell.prompt_tokens > 0) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS prefill_tps,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT cell.batch * cell.decode_tokens / sample.value AS v FROM sample WHERE sample.run_key = one.key AND sample.metric_key = (SELECT metric.key FROM metric WHERE metric.name = 'decode_s') AND NOT sample.warmup AND sample.value > 0 AND cell.batch * cell.decode_tokens > 0) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS decode_tps,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT sample.value AS v FROM sample WHERE sample.run_key = one.key AND sample.metric_key = (SELECT metric.key FROM metric WHERE metric.name = 'ttft_s') AND NOT sample.warmup) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS ttft_s,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT reading.peak_rss_bytes FROM memory_reading AS reading WHERE reading.run_key = one.key AND reading.peak_rss_bytes IS NOT NULL ORDER BY reading.position DESC LIMIT 1) AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS peak_rss_bytes,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT ((SELECT reading.peak_rss_bytes FROM memory_reading AS reading WHERE reading.run_key = one.key AND reading.peak_rss_bytes IS NOT NULL ORDER BY reading.position DESC LIMIT 1) - (SELECT reading.rss_bytes FROM memory_reading AS reading WHERE reading.run_key = one.key AND reading.rss_bytes IS NOT NULL AND reading.phase = 'import' ORDER BY reading.position ASC LIMIT 1)) AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS own_bytes,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT max(reading.device_bytes) FROM memory_reading AS reading WHERE reading.run_key = one.key) AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS device_bytes,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT reading.gross_joules / reading.tokens AS v FROM energy_reading AS reading WHERE reading.run_key = one.key AND reading.phase = 'prefill' AND reading.tokens > 0) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS energy_joules_per_prefill_token,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT reading.gross_joules / reading.tokens AS v FROM energy_reading AS reading WHERE reading.run_key = one.key AND reading.phase = 'decode' AND reading.tokens > 0) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) GROUP BY one.key) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS energy_joules_per_decode_token,
    (SELECT min(v) FROM (SELECT (SELECT min(reading.meter || ' ' || reading.domain || ' (' || reading.method || ')') FROM energy_reading AS reading WHERE reading.run_key = one.key AND reading.gross_joules IS NOT NULL) AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt)))) AS told) AS energy_source,
    artifact.weight_bytes AS weight_bytes,
    artifact.bits_per_weight AS bits_per_weight,
    artifact.id AS artifact_id,
    verdict.verdict AS artifact_verdict,
    (SELECT sum(own.nll_sum) / NULLIF(sum(own.positions), 0) FROM score_window AS own WHERE own.run_key = score.run_key) AS nll_mean,
    (WITH RECURSIVE exponent(x) AS (SELECT (SELECT sum(own.nll_sum) / NULLIF(sum(own.positions), 0) FROM score_window AS own WHERE own.run_key = score.run_key)), series(k, term, x) AS (SELECT 0, CAST(1 AS DOUBLE PRECISION), x FROM exponent WHERE x > -700 AND x < 700 UNION ALL SELECT k + 1, term * x / (k + 1), x FROM series WHERE abs(term) > 1e-30) SELECT sum(term) FROM series) AS perplexity,
    (WITH RECURSIVE exponent(x) AS (SELECT (SELECT CASE WHEN sum(CASE WHEN other.positions = own.positions THEN 1 ELSE 0 END) = count(*) THEN sum(own.nll_sum - other.nll_sum) / NULLIF(sum(own.positions), 0) END FROM score_window AS own LEFT JOIN score_window AS other ON other.run_key = score.reference_run_key AND other.window_index = own.window_index WHERE own.run_key = score.run_key)), series(k, term, x) AS (SELECT 0, CAST(1 AS DOUBLE PRECISION), x FROM exponent WHERE x > -700 AND x < 700 UNION ALL SELECT k + 1, term * x / (k + 1), x FROM series WHERE abs(term) > 1e-30) SELECT sum(term) FROM series) AS perplexity_ratio,
    (SELECT CASE WHEN count(own.bytes) = count(*) THEN sum(own.nll_sum) / 0.6931471805599453 / NULLIF(sum(own.bytes), 0) END FROM score_window AS own WHERE own.run_key = score.run_key) AS bits_per_byte,
    (SELECT CASE WHEN count(own.kld_sum) = count(*) THEN sum(own.kld_sum) / NULLIF(sum(own.positions), 0) END FROM score_window AS own WHERE own.run_key = score.run_key) AS kld_mean,
    (SELECT CASE WHEN count(own.same_top) = count(*) THEN CAST(sum(own.same_top) AS DOUBLE PRECISION) / NULLIF(sum(own.positions), 0) END FROM score_window AS own WHERE own.run_key = score.run_key) AS same_top,
    score.quality_reference AS quality_reference,
    score.corpus AS corpus,
    score.window_tokens AS window_tokens,
    score.kld_median AS kld_median,
    score.kld_p99 AS kld_p99
FROM session_cell AS planned
JOIN session ON session.id = planned.session_id
JOIN machine ON machine.id = session.machine_id
JOIN cell ON cell.id = planned.cell_id
LEFT JOIN session_score AS link ON link.session_id = planned.session_id AND link.cell_id = planned.cell_id
LEFT JOIN score ON score.run_key = link.run_key
LEFT JOIN verdict ON verdict.run_key = link.run_key
LEFT JOIN artifact ON artifact.id = coalesce((SELECT one.artifact_id FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.artifact_id IS NOT NULL ORDER BY one.run_index DESC, one.attempt DESC LIMIT 1), score.artifact_id)
WHERE EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = planned.session_id AND measured.cell_id = planned.cell_id AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt));

-- Every run of every kind and attempt, with its own figures: medians over its repetitions, warm-ups left out.
CREATE VIEW v_runs AS
SELECT
    run.id AS run_id,
    run.session_id AS session_id,
    session.machine_id AS machine_id,
    machine.name AS machine,
    run.cell_id AS cell_id,
    cell.framework AS framework,
    cell.model AS model,
    cell.precision AS precision,
    cell.recipe AS recipe,
    cell.device AS device,
    cell.api AS api,
    cell.workload AS workload,
    cell.depth AS depth,
    cell.batch AS batch,
    run.kind AS kind,
    run.run_index AS run_index,
    run.attempt AS attempt,
    run.status AS status,
    run.reason AS reason,
    run.phase AS phase,
    run.validity AS validity,
    run.flags AS flags,
    run.kind = 'timed' AND run.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = run.session_id AND later.cell_id = run.cell_id AND later.kind = run.kind AND later.run_index = run.run_index AND later.attempt > run.attempt) AND (run.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = run.session_id AND measured.cell_id = run.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt))) AS in_figures,
    run.framework_version AS framework_version,
    run.threads AS threads,
    run.started_at AS started_at,
    run.duration_s AS duration_s,
    session.suite AS suite,
    session.started_at AS session_started_at,
    session.trigger AS trigger,
    session.commit_sha AS commit_sha,
    session.edgebench_version AS edgebench_version,
    run.environment_id AS environment_id,
    run.artifact_id AS artifact_id,
    (SELECT artifact.bits_per_weight FROM artifact WHERE artifact.id = run.artifact_id) AS bits_per_weight,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT cell.batch * cell.prompt_tokens / sample.value AS v FROM sample WHERE sample.run_key = run.key AND sample.metric_key = (SELECT metric.key FROM metric WHERE metric.name = 'prefill_s') AND NOT sample.warmup AND sample.value > 0 AND cell.batch * cell.prompt_tokens > 0) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS prefill_tps,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT cell.batch * cell.decode_tokens / sample.value AS v FROM sample WHERE sample.run_key = run.key AND sample.metric_key = (SELECT metric.key FROM metric WHERE metric.name = 'decode_s') AND NOT sample.warmup AND sample.value > 0 AND cell.batch * cell.decode_tokens > 0) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS decode_tps,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT sample.value AS v FROM sample WHERE sample.run_key = run.key AND sample.metric_key = (SELECT metric.key FROM metric WHERE metric.name = 'ttft_s') AND NOT sample.warmup) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS ttft_s,
    (SELECT reading.peak_rss_bytes FROM memory_reading AS reading WHERE reading.run_key = run.key AND reading.peak_rss_bytes IS NOT NULL ORDER BY reading.position DESC LIMIT 1) AS peak_rss_bytes,
    ((SELECT reading.peak_rss_bytes FROM memory_reading AS reading WHERE reading.run_key = run.key AND reading.peak_rss_bytes IS NOT NULL ORDER BY reading.position DESC LIMIT 1) - (SELECT reading.rss_bytes FROM memory_reading AS reading WHERE reading.run_key = run.key AND reading.rss_bytes IS NOT NULL AND reading.phase = 'import' ORDER BY reading.position ASC LIMIT 1)) AS own_bytes,
    (SELECT max(reading.device_bytes) FROM memory_reading AS reading WHERE reading.run_key = run.key) AS device_bytes,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT reading.gross_joules / reading.tokens AS v FROM energy_reading AS reading WHERE reading.run_key = run.key AND reading.phase = 'prefill' AND reading.tokens > 0) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS energy_joules_per_prefill_token,
    (SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place, count(v) OVER () AS n FROM (SELECT reading.gross_joules / reading.tokens AS v FROM energy_reading AS reading WHERE reading.run_key = run.key AND reading.phase = 'decode' AND reading.tokens > 0) AS every_value) AS ranked WHERE place IN ((n + 1) / 2, (n + 2) / 2)) AS energy_joules_per_decode_token,
    (SELECT min(reading.meter || ' ' || reading.domain || ' (' || reading.method || ')') FROM energy_reading AS reading WHERE reading.run_key = run.key AND reading.gross_joules IS NOT NULL) AS energy_source
FROM run
JOIN cell ON cell.id = run.cell_id
JOIN session ON session.id = run.session_id
JOIN machine ON machine.id = session.machine_id;

-- Every raw number of every repetition, warm-ups included and marked.
CREATE VIEW v_samples AS
SELECT
    run.id AS run_id,
    run.session_id AS session_id,
    run.cell_id AS cell_id,
    cell.framework AS framework,
    cell.model AS model,
    cell.recipe AS recipe,
    cell.device AS device,
    cell.workload AS workload,
    run.kind AS kind,
    run.run_index AS run_index,
    run.attempt AS attempt,
    run.status AS status,
    run.validity AS validity,
    metric.name AS metric,
    sample.repetition AS repetition,
    sample.warmup AS warmup,
    sample.value AS value
FROM sample
JOIN metric ON metric.key = sample.metric_key
JOIN run ON run.key = sample.run_key
JOIN cell ON cell.id = run.cell_id;

-- Every score: the quality of one artifact on one text, against the quality reference. It may stand for
-- several cells and sessions; these are in `v_history`.
CREATE VIEW v_scores AS
SELECT
    run.id AS run_id,
    run.session_id AS session_id,
    session.machine_id AS machine_id,
    machine.name AS machine,
    run.cell_id AS cell_id,
    cell.framework AS framework,
    cell.model AS model,
    cell.precision AS precision,
    cell.recipe AS recipe,
    cell.device AS device,
    cell.api AS api,
    cell.workload AS workload,
    cell.depth AS depth,
    cell.batch AS batch,
    run.kind AS kind,
    run.status AS status,
    run.validity AS validity,
    run.started_at AS started_at,
    run.framework_version AS framework_version,
    score.artifact_id AS artifact_id,
    score.corpus AS corpus,
    score.corpus_sha256 AS corpus_sha256,
    score.window_tokens AS window_tokens,
    score.stride_tokens AS stride_tokens,
    score.score_from AS score_from,
    score.positions AS positions,
    (SELECT sum(own.nll_sum) / NULLIF(sum(own.positions), 0) FROM score_window AS own WHERE own.run_key = score.run_key) AS nll_mean,
    (WITH RECURSIVE exponent(x) AS (SELECT (SELECT sum(own.nll_sum) / NULLIF(sum(own.positions), 0) FROM score_window AS own WHERE own.run_key = score.run_key)), series(k, term, x) AS (SELECT 0, CAST(1 AS DOUBLE PRECISION), x FROM exponent WHERE x > -700 AND x < 700 UNION ALL SELECT k + 1, term * x / (k + 1), x FROM series WHERE abs(term) > 1e-30) SELECT sum(term) FROM series) AS perplexity,
    (WITH RECURSIVE exponent(x) AS (SELECT (SELECT CASE WHEN sum(CASE WHEN other.positions = own.positions THEN 1 ELSE 0 END) = count(*) THEN sum(own.nll_sum - other.nll_sum) / NULLIF(sum(own.positions), 0) END FROM score_window AS own LEFT JOIN score_window AS other ON other.run_key = score.reference_run_key AND other.window_index = own.window_index WHERE own.run_key = score.run_key)), series(k, term, x) AS (SELECT 0, CAST(1 AS DOUBLE PRECISION), x FROM exponent WHERE x > -700 AND x < 700 UNION ALL SELECT k + 1, term * x / (k + 1), x FROM series WHERE abs(term) > 1e-30) SELECT sum(term) FROM series) AS perplexity_ratio,
    (SELECT CASE WHEN count(own.bytes) = count(*) THEN sum(own.nll_sum) / 0.6931471805599453 / NULLIF(sum(own.bytes), 0) END FROM score_window AS own WHERE own.run_key = score.run_key) AS bits_per_byte,
    (SELECT CASE WHEN count(own.kld_sum) = count(*) THEN sum(own.kld_sum) / NULLIF(sum(own.positions), 0) END FROM score_window AS own WHERE own.run_key = score.run_key) AS kld_mean,
    (SELECT CASE WHEN count(own.same_top) = count(*) THEN CAST(sum(own.same_top) AS DOUBLE PRECISION) / NULLIF(sum(own.positions), 0) END FROM score_window AS own WHERE own.run_key = score.run_key) AS same_top,
    score.kld_median AS kld_median,
    score.kld_p99 AS kld_p99,
    score.kld_p999 AS kld_p999,
    score.kld_max AS kld_max,
    score.finite AS finite,
    score.method AS method,
    score.quality_reference AS quality_reference,
    verdict.verdict AS artifact_verdict,
    verdict.reason AS verdict_reason
FROM score
JOIN run ON run.key = score.run_key
JOIN cell ON cell.id = run.cell_id
JOIN session ON session.id = run.session_id
JOIN machine ON machine.id = session.machine_id
LEFT JOIN verdict ON verdict.run_key = score.run_key;

-- Every metric of every evaluated task, beside the quality reference's on the very same questions.
CREATE VIEW v_tasks AS
SELECT
    run.id AS run_id,
    run.session_id AS session_id,
    session.machine_id AS machine_id,
    machine.name AS machine,
    run.cell_id AS cell_id,
    cell.framework AS framework,
    cell.model AS model,
    cell.precision AS precision,
    cell.recipe AS recipe,
    cell.device AS device,
    cell.api AS api,
    cell.workload AS workload,
    cell.depth AS depth,
    cell.batch AS batch,
    run.status AS status,
    run.started_at AS started_at,
    run.framework_version AS framework_version,
    evaluation.artifact_id AS artifact_id,
    evaluation.chat_template AS chat_template,
    evaluation.items_limit AS items_limit,
    task_result.task AS task,
    task_result.metric AS metric,
    task_result.version AS version,
    task_result.n AS n,
    task_result.value AS value,
    task_result.stderr AS stderr,
    task_result.num_fewshot AS num_fewshot,
    task_result.higher_is_better AS higher_is_better,
    reference.value AS reference_value,
    (SELECT CASE WHEN count(*) = (SELECT count(*) FROM task_item AS asked WHERE asked.run_key = reference.run_key AND asked.position = reference.position) AND sum(CASE WHEN own.value IN (0, 1) AND other.value IN (0, 1) THEN 1 ELSE 0 END) = count(*) THEN CAST(sum(CASE WHEN own.value <> other.value THEN 1 ELSE 0 END) AS DOUBLE PRECISION) / NULLIF(count(*), 0) END FROM task_item AS own LEFT JOIN task_item AS other ON other.run_key = reference.run_key AND other.position = reference.position AND other.item = own.item WHERE own.run_key = task_result.run_key AND own.position = task_result.position) AS flips,
    evaluation.quality_reference AS quality_reference,
    evaluation.lm_eval_version AS lm_eval_version
FROM task_result
JOIN evaluation ON evaluation.run_key = task_result.run_key
JOIN run ON run.key = task_result.run_key
JOIN cell ON cell.id = run.cell_id
JOIN session ON session.id = run.session_id
JOIN machine ON machine.id = session.machine_id
LEFT JOIN task_result AS reference ON reference.run_key = evaluation.reference_run_key AND reference.task = task_result.task AND reference.metric = task_result.metric AND (reference.corpus_sha256 = task_result.corpus_sha256 OR (reference.corpus_sha256 IS NULL AND task_result.corpus_sha256 IS NULL));

-- Every planned cell of every session and how it ended, holes and failures included.
CREATE VIEW v_coverage AS
SELECT
    planned.session_id AS session_id,
    session.machine_id AS machine_id,
    machine.name AS machine,
    session.suite AS suite,
    session.started_at AS session_started_at,
    session.trigger AS trigger,
    session.commit_sha AS commit_sha,
    session.edgebench_version AS edgebench_version,
    planned.cell_id AS cell_id,
    cell.framework AS framework,
    cell.model AS model,
    cell.precision AS precision,
    cell.recipe AS recipe,
    cell.device AS device,
    cell.api AS api,
    cell.workload AS workload,
    cell.depth AS depth,
    cell.batch AS batch,
    planned.position AS position,
    CASE WHEN planned.reason IS NOT NULL OR worst.key IS NULL THEN 'skipped' ELSE worst.status END AS status,
    CASE WHEN planned.reason IS NOT NULL THEN planned.reason WHEN worst.key IS NULL THEN 'not run: the session ended before it' WHEN worst.status = 'ok' THEN NULL WHEN worst.kind = 'score' THEN 'scoring: ' || coalesce(worst.reason, 'no reason was stored') WHEN worst.kind = 'tasks' THEN 'tasks: ' || coalesce(worst.reason, 'no reason was stored') WHEN worst.phase = 'set-up' THEN 'set-up failed: ' || coalesce(worst.reason, 'no reason was stored') ELSE coalesce(worst.reason, 'no reason was stored') END AS reason,
    worst.phase AS phase,
    worst.id AS run_id,
    (SELECT count(*) FROM planned_run WHERE planned_run.session_id = planned.session_id AND planned_run.cell_id = planned.cell_id AND planned_run.kind = 'timed') AS runs_planned,
    (SELECT count(*) FROM (SELECT 1 AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt)) AS counted) AS runs,
    (SELECT count(*) FROM (SELECT 1 AS v FROM run AS one WHERE one.session_id = planned.session_id AND one.cell_id = planned.cell_id AND one.kind = 'timed' AND one.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = one.session_id AND later.cell_id = one.cell_id AND later.kind = one.kind AND later.run_index = one.run_index AND later.attempt > one.attempt) AND (one.validity = 'ok' OR NOT EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = one.session_id AND measured.cell_id = one.cell_id AND measured.validity = 'ok' AND measured.kind = 'timed' AND measured.status = 'ok' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = measured.session_id AND later.cell_id = measured.cell_id AND later.kind = measured.kind AND later.run_index = measured.run_index AND later.attempt > measured.attempt)))) AS counted) AS n
FROM session_cell AS planned
JOIN session ON session.id = planned.session_id
JOIN machine ON machine.id = session.machine_id
JOIN cell ON cell.id = planned.cell_id
LEFT JOIN run AS worst ON worst.key = (SELECT ended.key FROM run AS ended WHERE ended.session_id = planned.session_id AND ended.cell_id = planned.cell_id AND ((ended.kind = 'timed' AND NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = ended.session_id AND later.cell_id = ended.cell_id AND later.kind = ended.kind AND later.run_index = ended.run_index AND later.attempt > ended.attempt)) OR (ended.kind IN ('score', 'tasks') AND ended.status NOT IN ('ok', 'skipped') AND NOT EXISTS (SELECT 1 FROM run AS newer WHERE newer.session_id = ended.session_id AND newer.cell_id = ended.cell_id AND newer.kind = ended.kind AND (newer.run_index > ended.run_index OR (newer.run_index = ended.run_index AND newer.attempt > ended.attempt))))) ORDER BY CASE ended.status WHEN 'ok' THEN 0 WHEN 'skipped' THEN 1 WHEN 'timeout' THEN 2 WHEN 'oom' THEN 3 ELSE 4 END DESC, CASE ended.kind WHEN 'timed' THEN 0 WHEN 'score' THEN 1 ELSE 2 END, ended.run_index LIMIT 1);

-- What did not run and why: cells that a plan left out, runs of any kind and attempt, artifacts not made.
CREATE VIEW v_failures AS
SELECT
    'plan' AS what,
    planned.session_id AS session_id,
    session.machine_id AS machine_id,
    session.started_at AS happened_at,
    planned.cell_id AS cell_id,
    cell.framework AS framework,
    cell.model AS model,
    cell.recipe AS recipe,
    cell.device AS device,
    cell.workload AS workload,
    CAST(NULL AS VARCHAR) AS kind,
    CAST(NULL AS INTEGER) AS run_index,
    CAST(NULL AS INTEGER) AS attempt,
    'skipped' AS status,
    CAST(NULL AS VARCHAR) AS phase,
    planned.reason AS reason,
    CAST(NULL AS VARCHAR) AS error,
    CAST(NULL AS VARCHAR) AS id
FROM session_cell AS planned
JOIN session ON session.id = planned.session_id
JOIN cell ON cell.id = planned.cell_id
WHERE planned.reason IS NOT NULL
UNION ALL
SELECT 'run', run.session_id, session.machine_id, run.started_at, run.cell_id, cell.framework, cell.model, cell.recipe, cell.device, cell.workload, run.kind, run.run_index, run.attempt, run.status, run.phase, run.reason, run.error, run.id
FROM run
JOIN session ON session.id = run.session_id
JOIN cell ON cell.id = run.cell_id
WHERE run.status <> 'ok'
UNION ALL
SELECT 'preparation', preparation.session_id, preparation.machine_id, preparation.started_at, CAST(NULL AS VARCHAR), preparation.framework, preparation.model, preparation.recipe, CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), CAST(NULL AS VARCHAR), CAST(NULL AS INTEGER), CAST(NULL AS INTEGER), preparation.status, CAST(NULL AS VARCHAR), preparation.reason, preparation.error, preparation.id
FROM preparation
WHERE preparation.status <> 'ok';

-- Every artifact by each way in which it was made, with the newest verdict on it.
CREATE VIEW v_artifacts AS
SELECT
    artifact.id AS artifact_id,
    model.name AS model,
    lineage.framework AS framework,
    lineage.recipe AS recipe,
    lineage.precision AS precision,
    artifact.weight_bytes AS weight_bytes,
    artifact.parameters AS parameters,
    artifact.bits_per_weight AS bits_per_weight,
    lineage.tool AS tool,
    lineage.tool_version AS tool_version,
    lineage.made_at AS made_at,
    lineage.made_s AS made_s,
    lineage.made_peak_bytes AS made_peak_bytes,
    lineage.source_artifact_id AS source_artifact_id,
    lineage.environment_id AS environment_id,
    verdict.verdict AS artifact_verdict,
    verdict.reason AS verdict_reason,
    model.licence AS licence,
    model.architecture AS architecture
FROM artifact
JOIN lineage ON lineage.artifact_id = artifact.id
JOIN model ON model.id = lineage.model_id
LEFT JOIN verdict ON verdict.run_key = (SELECT judged.run_key FROM verdict AS judged JOIN run ON run.key = judged.run_key WHERE judged.artifact_id = artifact.id ORDER BY run.started_at DESC, run.id LIMIT 1);

-- How each artifact came to be, step by step back to the model's own file.
CREATE VIEW v_lineage AS
WITH RECURSIVE chain(artifact_id, step, lineage_id) AS (
    SELECT artifact_id, 0, id FROM lineage
    UNION
    SELECT chain.artifact_id, chain.step + 1, earlier.id FROM chain
    JOIN lineage AS made ON made.id = chain.lineage_id
    JOIN lineage AS earlier ON earlier.artifact_id = made.source_artifact_id
    WHERE chain.step < 16
)
SELECT
    chain.artifact_id AS artifact_id,
    chain.step AS step,
    lineage.artifact_id AS made_id,
    model.name AS model,
    lineage.framework AS framework,
    lineage.recipe AS recipe,
    lineage.precision AS precision,
    lineage.tool AS tool,
    lineage.tool_version AS tool_version,
    lineage.parameters AS parameters,
    lineage.made_at AS made_at,
    lineage.made_s AS made_s,
    lineage.source_artifact_id AS source_artifact_id,
    lineage.environment_id AS environment_id,
    model.source AS model_source
FROM chain
JOIN lineage ON lineage.id = chain.lineage_id
JOIN model ON model.id = lineage.model_id;
