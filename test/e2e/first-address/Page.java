import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

/** Prints the page at the address. */
class Page {
  public static void main(String[] args) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(args[0])).build();
    System.out.print(HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).body());
  }
}
