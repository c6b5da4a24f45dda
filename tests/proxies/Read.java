import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

/** Reads a stream: an address, then names and values of headers. */
class Read {
    public static void main(String[] arguments) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(arguments[0]));
        for (int at = 1; at < arguments.length; at += 2) {
            request.header(arguments[at], arguments[at + 1]);
        }
        HttpClient.newHttpClient().send(request.build(), BodyHandlers.ofLines()).body().forEach(line -> {});
    }
}
