-- The results database, schema 0012. Made from harness/store/tables.py by
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
CREATE INDEX ix_session_started_at ON session (started_at);

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
	CONSTRAINT ck_energy_reading_measured CHECK ((gross_joules IS NULL AND net_joules IS NULL AND idle_watts IS NULL AND idle_watts_before IS NULL AND idle_watts_after IS NULL AND domain_joules IS NULL) OR (meter IS NOT NULL AND meter <> '' AND method IS NOT NULL AND domain IS NOT NULL AND domain <> '' AND estimate_joules IS NULL)),
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
