# A client made with websocket-ruby: websocket_ruby_client.rb URL DRAFT TASK
require "json"
require "socket"
require "timeout"
require "uri"
require "websocket"

VERSIONS = { "hixie-75" => 75, "hixie-76" => 76 }.freeze

class Client
  def initialize(url, draft)
    @url = url
    @uri = URI.parse(url)
    @version = VERSIONS.fetch(draft)
    @incoming = WebSocket::Frame::Incoming::Client.new(version: @version)
  end

  def run(task)
    taken = open(task["subprotocol"])
    echoes = task["messages"].map { |message| echo(message) }
    { echoes: echoes, closed: finish(task["close"]), subprotocol: taken }
  end

  private

  def open(subprotocol)
    handshake = WebSocket::Handshake::Client.new(
      url: @url, version: @version, origin: "http://#{@uri.host}", protocols: [subprotocol].compact
    )
    @socket = TCPSocket.new(@uri.host, @uri.port)
    @socket.write(handshake.to_s)
    handshake << answer
    raise "handshake: #{handshake.error}" unless handshake.valid?

    handshake.headers["sec-websocket-protocol"] || handshake.headers["websocket-protocol"]
  end

  # The library wants the head and the sixteen bytes after it in one piece, and cannot say if they are all there.
  def answer
    bytes = String.new(encoding: Encoding::BINARY)
    body = @version == 76 ? 16 : 0
    loop do
      head_end = bytes.index("\r\n\r\n".b)
      return bytes if head_end && bytes.bytesize >= head_end + 4 + body

      bytes << @socket.readpartial(65_536)
    end
  end

  def put(type, data = nil)
    @socket.write(WebSocket::Frame::Outgoing::Client.new(version: @version, type: type, data: data).to_s)
  end

  def receive
    until (frame = @incoming.next)
      raise "bad frame: #{@incoming.error}" if @incoming.error?

      @incoming << @socket.readpartial(65_536)
    end
    frame
  end

  def echo(message)
    put(:text, message)
    back = receive.to_s.force_encoding(Encoding::UTF_8)
    raise "another message came back" unless back == message

    back
  end

  # How the other side ends: "clean" with a close frame, "tcp" without one.
  def finish(first)
    closed = "tcp"
    @version == 76 ? put(:close) : @socket.close_write if first
    raise "a message instead of the end" unless receive.type == :close

    closed = "clean"
    put(:close) unless first
    @socket.readpartial(1)
    raise "bytes after the close frame"
  rescue EOFError
    closed
  end
end

url, draft, file = ARGV
task = JSON.parse(File.read(file, encoding: "UTF-8"))
puts JSON.generate(Timeout.timeout(30) { Client.new(url, draft).run(task) })
