# An echo server made with em-websocket: em_websocket_server.rb. It closes at the message "bye".
require "em-websocket"

EM.run do
  signature = EM::WebSocket.run(host: "127.0.0.1", port: 0) do |connection|
    # Drafts that have no codes leave them out.
    connection.onmessage { |message| message == "bye" ? connection.close(4001, "bye") : connection.send(message) }
    connection.onbinary { |message| connection.send_binary(message) }
    connection.onerror { |error| warn "#{error.class}: #{error.message}" }
  end
  port, = Socket.unpack_sockaddr_in(EM.get_sockname(signature))
  puts "listening on #{port}"
  $stdout.flush
end
