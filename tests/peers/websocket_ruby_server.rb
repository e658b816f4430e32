# An echo server made with websocket-ruby: websocket_ruby_server.rb. It closes at the message "bye".
require "socket"
require "websocket"

# The first draft of which the library can send close codes.
CODES_SINCE = 7

def open_handshake(socket)
  handshake = WebSocket::Handshake::Server.new
  # The head and the eight bytes after it are taken from one read: the library cannot wait for the latter.
  handshake << socket.readpartial(65_536) until handshake.finished?
  # The library agrees to a subprotocol only if it was told the name beforehand.
  asked = handshake.headers["sec-websocket-protocol"] || handshake.headers["websocket-protocol"]
  handshake.protocols << asked if asked
  answer = handshake.to_s
  raise "refused: #{handshake.error}" unless handshake.valid?

  socket.write(answer)
  handshake
end

def serve(socket)
  version = open_handshake(socket).version
  incoming = WebSocket::Frame::Incoming::Server.new(version: version)
  closing = false
  put = lambda do |type, data = nil, code = nil|
    socket.write(WebSocket::Frame::Outgoing::Server.new(version: version, type: type, data: data, code: code).to_s)
  end
  loop do
    incoming << socket.readpartial(65_536)
    while (frame = incoming.next)
      if frame.type == :close
        put.call(:close, nil, frame.code) unless closing
        return
      elsif frame.type == :ping
        put.call(:pong, frame.to_s)
      elsif frame.to_s != "bye"
        put.call(frame.type, frame.to_s)
      elsif version == 75
        return
      else
        closing = true
        (CODES_SINCE..13).cover?(version) ? put.call(:close, "bye", 4001) : put.call(:close)
      end
    end
    raise "bad frame: #{incoming.error}" if incoming.error?
  end
rescue EOFError, SystemCallError
  # The client has gone, the only way to close under hixie-75.
rescue StandardError => error
  warn "#{error.class}: #{error.message}"
ensure
  socket.close
end

server = TCPServer.new("127.0.0.1", 0)
puts "listening on #{server.addr[1]}"
$stdout.flush
loop { Thread.new(server.accept) { |socket| serve(socket) } }
