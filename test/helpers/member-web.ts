/** A web server in Python on port 8000 of `::`, after `import socket`: it says hello to the address of its visitor. */
export const WEB = `
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
  def do_GET(self):
    text = ('hello ' + self.client_address[0]).encode()
    self.send_response(200)
    self.send_header('content-length', str(len(text)))
    self.end_headers()
    self.wfile.write(text)
class Server(http.server.ThreadingHTTPServer):
  address_family = socket.AF_INET6
server = Server(('::', 8000), Handler)
print('up')
server.serve_forever()`;
