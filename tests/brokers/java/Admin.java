import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AccessControlEntryFilter;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * What librdkafka cannot ask of a cluster. Reads requests from standard input, one JSON object a line, and
 * answers each with one line: {"answer": ...} or {"error": "..."}. Ends with its input.
 */
public final class Admin {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** What the heap holds of records of a usual size, several times over. */
    private static final int RECORDS_PER_ANSWER = 2_000;

    private final org.apache.kafka.clients.admin.Admin admin;
    private final String bootstrap;

    private Admin(String bootstrap) {
        this.bootstrap = bootstrap;
        this.admin = org.apache.kafka.clients.admin.Admin.create(Map.of(
            "bootstrap.servers", bootstrap,
            "default.api.timeout.ms", "15000",
            "request.timeout.ms", "5000",
            "reconnect.backoff.max.ms", "200"));
    }

    public static void main(String[] arguments) throws Exception {
        Admin program = new Admin(arguments[0]);
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(JSON.writeValueAsString(program.answer(line)));
        }
    }

    private Map<String, Object> answer(String line) {
        Map<String, Object> reply = new HashMap<>();
        try {
            reply.put("answer", dispatch(JSON.readTree(line)));
        } catch (ExecutionException failure) {
            reply.put("error", String.valueOf(failure.getCause()));
        } catch (Exception failure) {
            reply.put("error", failure.toString());
        }
        return reply;
    }

    private Object dispatch(JsonNode request) throws Exception {
        return switch (request.get("do").asText()) {
            case "topic-id" -> topicId(topic(request));
            case "records" -> records(partition(request), request.get("from").asLong());
            case "groups" -> admin.listGroups().all().get().stream().map(GroupListing::groupId).toList();
            case "reassign" -> reassign(partition(request), request.get("replicas"));
            case "reassigning" -> reassigning(topic(request));
            case "elect" -> elect(ElectionType.valueOf(request.get("type").asText()), partition(request));
            case "unregister" -> admin.unregisterBroker(request.get("broker").asInt()).all().get();
            case "alter-config" -> alterConfig(request);
            case "allow" -> allow(request);
            case "limit-fetches" -> limitFetches(request);
            default -> throw new IllegalArgumentException("unknown request " + request);
        };
    }

    private String topicId(String topic) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId().toString();
    }

    private Object reassign(TopicPartition partition, JsonNode replicas) throws Exception {
        List<Integer> brokers = new ArrayList<>();
        replicas.forEach(broker -> brokers.add(broker.asInt()));
        Optional<NewPartitionReassignment> target = Optional.of(new NewPartitionReassignment(brokers));
        return admin.alterPartitionReassignments(Map.of(partition, target)).all().get();
    }

    private boolean reassigning(String topic) throws Exception {
        Set<TopicPartition> moving = admin.listPartitionReassignments().reassignments().get().keySet();
        return moving.stream().anyMatch(partition -> partition.topic().equals(topic));
    }

    /** Gives a user these rights on a topic, and takes every other. */
    private Object allow(JsonNode request) throws Exception {
        ResourcePattern topic = new ResourcePattern(ResourceType.TOPIC, topic(request), PatternType.LITERAL);
        String user = "User:" + request.get("user").asText();
        AccessControlEntryFilter anything = new AccessControlEntryFilter(user, null, AclOperation.ANY, AclPermissionType.ANY);
        admin.deleteAcls(List.of(new AclBindingFilter(topic.toFilter(), anything))).all().get();
        List<AclBinding> rights = new ArrayList<>();
        request.get("rights").forEach(right -> rights.add(new AclBinding(topic,
            new AccessControlEntry(user, "*", AclOperation.fromString(right.asText()), AclPermissionType.ALLOW))));
        return rights.isEmpty() ? null : admin.createAcls(rights).all().get();
    }

    private Object limitFetches(JsonNode request) throws Exception {
        ClientQuotaEntity client = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, request.get("client").asText()));
        JsonNode rate = request.get("rate");
        Double limit = rate.isNull() ? null : rate.asDouble();
        ClientQuotaAlteration.Op fetches = new ClientQuotaAlteration.Op("consumer_byte_rate", limit);
        return admin.alterClientQuotas(List.of(new ClientQuotaAlteration(client, List.of(fetches)))).all().get();
    }

    /** An election that was not needed has had its effect already. */
    private Object elect(ElectionType type, TopicPartition partition) throws Exception {
        Optional<Throwable> failure = admin.electLeaders(type, Set.of(partition)).partitions().get().get(partition);
        if (failure.isPresent() && !(failure.get() instanceof ElectionNotNeededException)) {
            throw new ExecutionException(failure.get());
        }
        return null;
    }

    private Object alterConfig(JsonNode request) throws Exception {
        ConfigResource.Type kind = ConfigResource.Type.valueOf(request.get("kind").asText());
        Collection<AlterConfigOp> changes = new ArrayList<>();
        request.get("changes").fields().forEachRemaining(change -> changes.add(change.getValue().isNull()
            ? new AlterConfigOp(new ConfigEntry(change.getKey(), null), AlterConfigOp.OpType.DELETE)
            : new AlterConfigOp(new ConfigEntry(change.getKey(), change.getValue().asText()), AlterConfigOp.OpType.SET)));
        ConfigResource resource = new ConfigResource(kind, request.get("name").asText());
        return admin.incrementalAlterConfigs(Map.of(resource, changes)).all().get();
    }

    /**
     * The committed records from an offset on, as many as fit one answer, and where to go on. Without group.id,
     * so that no group and no __consumer_offsets come to be.
     */
    private Map<String, Object> records(TopicPartition partition, long from) {
        Map<String, Object> config = Map.of(
            "bootstrap.servers", bootstrap,
            "isolation.level", "read_committed",
            "auto.offset.reset", "earliest",
            "enable.auto.commit", "false",
            "fetch.max.bytes", "1048576",
            "default.api.timeout.ms", "15000");
        StringDeserializer text = new StringDeserializer();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config, text, text)) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, from);
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            List<Map<String, Object>> records = new ArrayList<>();
            while (records.size() < RECORDS_PER_ANSWER && consumer.position(partition) < end) {
                consumer.poll(Duration.ofMillis(200)).records(partition).forEach(record -> records.add(fields(record)));
            }
            return Map.of("records", records, "next", consumer.position(partition), "end", end);
        }
    }

    private static Map<String, Object> fields(ConsumerRecord<String, String> record) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("offset", record.offset());
        fields.put("timestamp", record.timestamp());
        fields.put("epoch", record.leaderEpoch().orElse(null));
        fields.put("key", record.key());
        fields.put("value", record.value());
        return fields;
    }

    private static String topic(JsonNode request) {
        return request.get("topic").asText();
    }

    private static TopicPartition partition(JsonNode request) {
        return new TopicPartition(topic(request), request.get("partition").asInt());
    }
}
