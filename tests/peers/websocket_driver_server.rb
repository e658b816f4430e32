# An echo server made with websocket-driver for Ruby: websocket_driver_server.rb. It closes at the message "bye".
require "socket"
require "websocket/driver"

# What the driver writes to.
Wire = Struct.new(:socket) do
  def write(bytes)
    socket.write(bytes)
  end
end

def serve(socket)
  driver = WebSocket::Driver.server(Wire.new(socket), protocols: ["proto1"])
  closed = false
  driver.on(:connect) do
    asked = driver.env["HTTP_SEC_WEBSOCKET_PROTOCOL"]
    # The library answers subprotocols from hybi on only; before it, the field is set by hand.
    driver.set_header("Sec-WebSocket-Protocol", asked) if asked && driver.env["HTTP_SEC_WEBSOCKET_KEY1"]
    driver.start
  end
  driver.on(:message) do |event|
    if !event.data.is_a?(String)
      driver.binary(event.data)
    elsif event.data == "bye"
      driver.close("bye", 4001)
    else
      driver.text(event.data)
    end
  end
  driver.on(:error) { |error| warn error.message }
  driver.on(:close) { closed = true }
  driver.parse(socket.readpartial(65_536)) until closed
rescue EOFError, SystemCallError
  # The client has gone, the only way to close under hixie-75.
ensure
  socket.close
end

server = TCPServer.new("127.0.0.1", 0)
puts "listening on #{server.addr[1]}"
$stdout.flush
loop { Thread.new(server.accept) { |socket| serve(socket) } }
