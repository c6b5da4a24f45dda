// What is wrong, from health and metrics: each fault once, the worst first, and among equals the cause before what follows from it.

import {bytes, count, duration, moment, number, short} from './format.js';

export const SEVERITY = {ok: 0, note: 1, degraded: 2, failing: 3};

/** Where a fault is, from the cause to what suffers from it. */
const PLACES = ['page', 'cluster', 'broker', 'topic', 'partition', 'stream', 'tls', 'access', 'config', 'limits', 'process'];

/** Returns all faults: `{id, severity, place, subject, reason, runbook, affects}`. */
export function faultsOf(state) {
    const {overview, readings} = state;
    const faults = [...unreachable(state)];
    if (overview) {
        faults.push(...ofProcess(overview));
        overview.health.clusters.forEach((cluster) => faults.push(...ofCluster(cluster, overview)));
        faults.push(...ofStreams(overview), ...ofTls(overview, readings), ...ofLimits(overview, readings));
        faults.push(...ofAccess(state), ...ofReloads(state), ...ofStreamConfig(overview), ...ofCounters(readings));
    }
    const rank = (fault) => -SEVERITY[fault.severity] * 100 + PLACES.indexOf(fault.place);
    return faults.map((fault, index) => ({fault, index}))
        .sort((one, other) => rank(one.fault) - rank(other.fault) || one.index - other.index)
        .map(({fault}) => fault);
}

function unreachable({failure}) {
    return failure ? [{
        id: 'page', severity: 'failing', place: 'page', subject: 'Admin listener',
        reason: `${failure.why}, for ${duration((Date.now() - failure.since) / 1000)}; what is below is older`,
        runbook: 'RiverheadDown',
    }] : [];
}

function ofProcess({health}) {
    if (health.draining) {
        return [{
            id: 'draining', severity: 'degraded', place: 'process', subject: 'Process',
            reason: 'draining: its streams end, and it takes no new clients', runbook: 'RiverheadDrainStuck',
        }];
    }
    return health.ready ? [] : [{
        id: 'ready', severity: 'degraded', place: 'process', subject: 'Process',
        reason: 'starting: /readyz says that no clients should be sent here yet', runbook: 'RiverheadDown',
    }];
}

function ofCluster(cluster, overview) {
    const faults = [];
    const at = cluster.name;
    const own = (cluster.partitions ?? []).map((it) => `${it.topic}-${it.partition}: `);
    const isOfPartition = own.some((start) => cluster.reason.startsWith(start));
    if (cluster.state !== 'ok' && !isOfPartition) {
        faults.push({
            id: `cluster ${at}`, severity: cluster.state, place: 'cluster', subject: `Cluster ${at}`,
            reason: cluster.reason, runbook: runbookOfCluster(cluster),
            affects: cluster.active ? streamsOfCluster(cluster, overview) : [],
        });
    }
    for (const broker of cluster.brokers.filter((it) => it.state !== 'ok')) {
        faults.push({
            id: `broker ${at} ${broker.id}`, severity: broker.state, place: 'broker',
            subject: `Broker ${broker.id}${broker.address ? ` (${broker.address})` : ''} of ${at}`,
            reason: broker.reason,
            runbook: cluster.brokers_reachable < 2 && cluster.brokers.length > 1
                ? 'RiverheadBrokersReachable' : 'RiverheadBrokerUnreachable',
        });
    }
    for (const broker of cluster.brokers.filter(isSilent)) {
        faults.push({
            id: `silent ${at} ${broker.id}`, severity: 'note', place: 'broker',
            subject: `Broker ${broker.id}${broker.address ? ` (${broker.address})` : ''} of ${at}`,
            reason: `it has not answered for ${duration(broker.answered_age_seconds)}, and counts as unreachable after ${UNREACHABLE} s`,
            runbook: 'RiverheadBrokerUnreachable',
        });
    }
    for (const topic of cluster.topics.filter((it) => it.state !== 'ok')) {
        faults.push({
            id: `topic ${at} ${topic.topic}`, severity: topic.state, place: 'topic',
            subject: `Topic ${topic.topic} of ${at}`, reason: topic.reason, runbook: 'RiverheadTopicFault',
            affects: streamsOf(overview, [topic.topic]),
        });
    }
    return faults.concat(ofPartitions(cluster, overview));
}

/** Whether a broker that still counts as reachable has missed an answer: a restart, or the first seconds of an outage. */
function isSilent({state, connection, answered_age_seconds: age}) {
    const isConnected = ['UP', 'UPDATE'].includes(connection);
    return state === 'ok' && age > (isConnected ? SILENT : SILENT_UNCONNECTED);
}

function runbookOfCluster({reason, state}) {
    if (/panicked/.test(reason)) {
        return 'RiverheadThreadPanicked';
    }
    if (/bootstrap list accept/.test(reason)) {
        return 'RiverheadBootstrapRotten';
    }
    if (/broker/.test(reason) && state !== 'failing') {
        return 'RiverheadBrokerUnreachable';
    }
    return 'RiverheadClusterFailing';
}

/** Partitions with the same trouble are one fault: a broker that is down has many of them. */
function ofPartitions(cluster, overview) {
    const groups = new Map();
    const isTold = (topic) => cluster.topics.some((it) => it.topic === topic && it.state !== 'ok');
    for (const partition of cluster.partitions.filter((it) => it.state !== 'ok' && !isTold(it.topic))) {
        const trouble = partition.reason.replaceAll(/\d+(\.\d+)?/g, '#');
        const key = `${partition.state} ${partition.stalled} ${trouble}`;
        groups.set(key, [...(groups.get(key) ?? []), partition]);
    }
    return [...groups.entries()].map(([key, partitions]) => {
        const names = partitions.map((it) => `${it.topic}-${it.partition}`);
        const [first] = partitions;
        return {
            id: `partitions ${cluster.name} ${key}`, severity: first.state, place: 'partition',
            subject: names.length === 1 ? `Partition ${names[0]} of ${cluster.name}`
                : `${count(names.length, 'partition')} of ${cluster.name}`,
            reason: names.length === 1 ? first.reason : `${first.reason} (${names[0]})`,
            parts: names.length > 1 ? names : [],
            runbook: runbookOfPartition(first),
            affects: cluster.active ? streamsOf(overview, partitions.map((it) => it.topic)) : [],
        };
    });
}

function runbookOfPartition({stalled, error, reason}) {
    if (stalled) {
        return 'RiverheadPartitionStalled';
    }
    if (/has offsets .* cannot be read/.test(reason)) {
        return 'RiverheadUnreadable';
    }
    if (error) {
        return 'RiverheadPartitionFault';
    }
    if (/transaction has been open/.test(reason)) {
        return 'RiverheadTransactionHangs';
    }
    return /^quiet for/.test(reason) ? 'RiverheadStreamQuiet' : 'RiverheadPartitionFailing';
}

/** Streams whose trouble is not that of their partitions, topics or clusters, which have faults of their own. */
function ofStreams({health}) {
    const isCaused = (stream) => health.clusters.some((cluster) => stream.reason.startsWith(`cluster ${cluster.name}`)
        ? cluster.state !== 'ok' || cluster.topics.some((it) => it.state !== 'ok')
        : cluster.partitions.some((it) => stream.reason.startsWith(`${it.topic}-${it.partition}: `)));
    return health.streams.filter((stream) => stream.state !== 'ok' && !isCaused(stream)).map((stream) => ({
        id: `stream ${stream.name}`, severity: stream.state, place: 'stream', subject: `Stream ${stream.name}`,
        reason: stream.reason,
        runbook: /^no event for/.test(stream.reason) ? 'RiverheadStreamQuiet' : 'RiverheadStreamFailing',
    }));
}

function streamsOf({streams}, topics) {
    const all = new Set(topics);
    return streams.filter((stream) => stream.topics.some((topic) => all.has(topic))).map((stream) => stream.name);
}

/** Returns the streams that are read from a cluster. Before it has told its partitions, only their reasons name it. */
function streamsOfCluster({name, partitions}, overview) {
    const read = new Set(streamsOf(overview, partitions.map((it) => it.topic)));
    const waits = ({reason}) => reason.startsWith(`cluster ${name}: `);
    return overview.health.streams.filter((stream) => read.has(stream.name) || waits(stream)).map((stream) => stream.name);
}

function ofTls({health, time}, readings) {
    const faults = (health.tls ?? []).filter((it) => it.state !== 'ok').map((it) => ({
        id: `tls ${it.listener}`, severity: it.state, place: 'tls', subject: `TLS of listener ${it.listener}`,
        reason: it.reason,
        runbook: /still served/.test(it.reason) ? 'RiverheadTlsFilesRefused' : 'RiverheadCertificateExpires',
    }));
    for (const {labels, value} of readings.samples('riverhead_tls_certificate_expiry_timestamp_seconds')) {
        const left = value - time / 1000;
        // One that has expired is told by health already.
        if (left > 0 && left < EXPIRES_SOON) {
            faults.push({
                id: `certificate ${labels.listener} ${labels.certificate}`, severity: 'degraded', place: 'tls',
                subject: `Certificate ${short(labels.certificate, 60)} of listener ${labels.listener}`,
                reason: `expires in ${duration(left)}, on ${moment(value * 1000)}`, runbook: 'RiverheadCertificateExpires',
            });
        }
    }
    return faults;
}

function ofLimits({limits, memory, health}, readings) {
    const faults = [];
    const add = (id, subject, reason, runbook) => {
        faults.push({id, severity: 'degraded', place: 'limits', subject, reason, runbook});
    };
    if (limits.streams > limits.streams_total * NEARLY_FULL) {
        const share = Math.round((limits.streams / limits.streams_total) * 100);
        add('full', 'Streams', `${limits.streams} of ${limits.streams_total} streams are open (${share} %)`,
            'RiverheadPoolNearFull');
    }
    const held = Math.min(health.held, readings.lasting('riverhead_streams_held'));
    if (held > 0) {
        const verb = held === 1 ? 'waits' : 'wait';
        add('held', 'Streams', `${count(held, 'open stream')} ${verb} for Kafka`, 'RiverheadStreamsHeld');
    }
    for (const {labels: {reason}} of readings.samples('riverhead_refusals_total')) {
        const rate = readings.rate('riverhead_refusals_total', {reason}) ?? 0;
        if (rate > 1) {
            add(`refusals ${reason}`, 'Refusals', `${number(rate)} requests a second are refused: ${reason}`,
                'RiverheadRefusals');
        }
    }
    const unforwarded = readings.rate('riverhead_http_unforwarded_total') ?? 0;
    if (unforwarded > 0.1) {
        add('unforwarded', 'Proxies', `${number(unforwarded)} requests a second of a trusted proxy do not name their client`,
            'RiverheadUnforwarded');
    }
    for (const pool of memory.pools.filter((it) => it.bytes > it.budget_bytes)) {
        add(`memory ${pool.name}`, `Memory of ${pool.name}`,
            `${bytes(pool.bytes)}, which is more than its budget of ${bytes(pool.budget_bytes)}: large records are on their way`);
    }
    return faults;
}

function ofAccess({overview, readings, principals}) {
    const faults = [];
    const now = overview.time / 1000;
    for (const {labels, value} of readings.samples('riverhead_auth_issuer_keys_read_timestamp_seconds')) {
        if (now - value > KEYS_OLD) {
            faults.push({
                id: `issuer ${labels.issuer}`, severity: 'degraded', place: 'access', subject: `Issuer ${labels.issuer}`,
                reason: `its keys were read ${duration(now - value)} ago; they count for an hour`,
                runbook: 'RiverheadIssuerKeysOld',
            });
        }
    }
    if (readings.increase('riverhead_auth_credentials_total', {result: 'unavailable'}) > 0) {
        faults.push({
            id: 'unavailable', severity: 'failing', place: 'access', subject: 'Tokens',
            reason: 'tokens are answered with 503, because there are no keys to check them with',
            runbook: 'RiverheadTokensUnavailable',
        });
    }
    for (const key of (principals?.keys ?? []).filter((it) => it.expires && it.expires - overview.time < EXPIRES_SOON * 1000)) {
        const left = (key.expires - overview.time) / 1000;
        faults.push({
            id: `key ${key.name}`, severity: 'note', place: 'access', subject: `API key ${short(key.name, 60)}`,
            reason: left > 0 ? `expires in ${duration(left)}` : `expired ${duration(-left)} ago`,
        });
    }
    return faults;
}

function ofReloads({config, readings}) {
    const faults = [];
    const last = config?.reloads[0];
    const hasFailed = last ? last.result === 'refused' : readings.increase('riverhead_reload_failures_total') > 0;
    if (hasFailed) {
        faults.push({
            id: 'reload', severity: 'degraded', place: 'config', subject: 'Configuration',
            reason: `the last reload was refused${last ? ` on ${moment(last.time)}` : ''}: the file has errors, and nothing has changed`,
            detail: last?.detail, runbook: 'RiverheadReloadFailed',
        });
    }
    const waiting = (config?.waiting.length ?? 0) + (config?.waiting_left_out ?? 0);
    if (waiting > 0) {
        faults.push({
            id: 'waiting', severity: 'note', place: 'config', subject: 'Configuration',
            reason: `${count(waiting, 'changed setting')} need${waiting === 1 ? 's' : ''} a restart to apply`,
        });
    }
    return faults;
}

function ofStreamConfig({health}) {
    const document = health.stream_config;
    return document && document.state !== 'ok' ? [{
        id: 'stream_config', severity: document.state, place: 'config', subject: 'Streams of [stream_config]',
        reason: document.reason, runbook: 'RiverheadStreamConfigFailing',
    }] : [];
}

/** What should never happen: a fault while it is new, and a note for as long as the process lives. */
const COUNTERS = [
    ['riverhead_kafka_thread_panics_total', 'Threads', 'panics of threads that read Kafka', 'RiverheadThreadPanicked'],
    ['riverhead_http_panics_total', 'Requests', 'requests that met a bug in riverhead', 'RiverheadFault'],
    ['riverhead_kafka_unreadable_offsets_total', 'Records', 'offsets that could not be read and were skipped', 'RiverheadUnreadable'],
    ['riverhead_kafka_bad_records_total', 'Records', 'records that were skipped because they could not be encoded', 'RiverheadBadRecords'],
    ['riverhead_kafka_log_replacements_total', 'Logs', 'logs that were replaced by another one', 'RiverheadLogReplaced'],
    ['riverhead_kafka_failovers_total', 'Clusters', 'moves of streams to another cluster', undefined],
    ['riverhead_successors_unfit_total', 'Successors', 'successors that did not take over', 'RiverheadSuccessorUnfit'],
    ['riverhead_auth_reload_failures_total', 'Access', 'attempts to read keys and revocations that failed', 'RiverheadAuthFilesRefused'],
    ['riverhead_tls_reload_failures_total', 'TLS', 'attempts to read certificates that failed', 'RiverheadTlsFilesRefused'],
    ['riverhead_log_lines_dropped_total', 'Log', 'lines of the log that nobody took', undefined],
];

function ofCounters(readings) {
    const faults = COUNTERS.map(([name, subject, what, runbook]) => {
        const total = readings.value(name);
        const recent = readings.increase(name);
        return total === 0 ? undefined : {
            id: name, severity: recent > 0 ? 'degraded' : 'note', place: 'process', subject, runbook,
            reason: `${number(total)} ${what} since the start${recent > 0 ? `, ${number(recent)} of them while this page looks` : ''}`,
        };
    });
    const wrong = ['token', 'guesses'].map((reason) => readings.increase('riverhead_admin_refusals_total', {reason}));
    if (wrong[0] + wrong[1] > WRONG_TOKENS) {
        faults.push({
            id: 'tokens', severity: 'degraded', place: 'access', subject: 'Admin listener',
            reason: `${wrong[0] + wrong[1]} requests with a wrong token`, runbook: 'RiverheadWrongTokens',
        });
    }
    return faults.filter(Boolean);
}

/** When a broker counts as unreachable in /healthz, in seconds, and when it is worth a note: it is asked every few seconds. */
const UNREACHABLE = 10;
const SILENT = 7;
const SILENT_UNCONNECTED = 3;

/** As the alerts of config/alerts.yaml have it. */
const EXPIRES_SOON = 14 * 86_400;
const KEYS_OLD = 900;
const NEARLY_FULL = 0.8;
const WRONG_TOKENS = 20;
