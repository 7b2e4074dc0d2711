import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Sends one event and waits for the recommendation that it brings about, with Kafka's own Java client and Jackson.
 *
 * <p>No build: Java 17 runs the source file. examples/README.md says where the jars are.
 *
 * <pre>java -cp "$JARS/*" examples/SendAndWait.java anna view hammer-16oz</pre>
 */
public class SendAndWait {
    static final ObjectMapper JSON = new ObjectMapper();
    static final String BOOTSTRAP = System.getenv().getOrDefault("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092");
    static final String SHOP = System.getenv().getOrDefault("UPWELL_SHOP", "shop");
    static final Duration PATIENCE = Duration.ofSeconds(60);

    public static void main(String[] arguments) throws Exception {
        String shopper = arguments[0];
        Map<String, Object> event = Map.of(
            "id", UUID.randomUUID().toString(),
            "type", arguments[1],
            "time", System.currentTimeMillis(),
            "user", shopper,
            "item", arguments[2]);

        Map<String, Object> reading = Map.of("bootstrap.servers", BOOTSTRAP, "enable.auto.commit", "false");
        try (var consumer = new KafkaConsumer<>(reading, new StringDeserializer(), new StringDeserializer())) {
            // At the end of the topic before the event is sent, so that the answer cannot be missed.
            List<TopicPartition> partitions = consumer.partitionsFor(SHOP + ".recommendations.v1").stream()
                .map(found -> new TopicPartition(found.topic(), found.partition())).toList();
            consumer.assign(partitions);
            consumer.endOffsets(partitions).forEach(consumer::seek);
            send(shopper, event);
            print(answer(consumer, event.get("id")));
        }
    }

    /** The key is the shopper: all of a shopper's events stay on one partition, in order. */
    static void send(String shopper, Map<String, Object> event) throws Exception {
        Map<String, Object> writing = Map.of("bootstrap.servers", BOOTSTRAP, "acks", "all");
        try (var producer = new KafkaProducer<>(writing, new StringSerializer(), new StringSerializer())) {
            String value = JSON.writeValueAsString(event);
            producer.send(new ProducerRecord<>(SHOP + ".events.v1", shopper, value)).get();
        }
    }

    static JsonNode answer(KafkaConsumer<String, String> consumer, Object event) throws Exception {
        Instant deadline = Instant.now().plus(PATIENCE);
        while (Instant.now().isBefore(deadline)) {
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                JsonNode recommendation = JSON.readTree(record.value());
                if (recommendation.at("/trigger/event").asText().equals(event)) {
                    return recommendation;
                }
            }
        }
        throw new IllegalStateException("no recommendation after " + PATIENCE + ": is `upwell worker` running?");
    }

    static void print(JsonNode recommendation) {
        System.out.println("for " + recommendation.get("user").asText());
        for (JsonNode item : recommendation.get("items")) {
            String reason = item.at("/reasons/0/text").asText();
            System.out.printf("%3d %-24s %s%n", item.get("rank").asInt(), item.get("item").asText(), reason);
        }
    }
}
