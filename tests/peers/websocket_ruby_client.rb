# A client made with websocket-ruby: websocket_ruby_client.rb URL DRAFT TASK
require "base64"
require "json"
require "socket"
require "timeout"
require "uri"
require "websocket"

VERSIONS = {
  "hixie-75" => 75, "hixie-76" => 76, "hybi-03" => 3, "hybi-07" => 7, "hybi-08" => 8, "rfc6455" => 13
}.freeze
# Those whose close frames have a code.
CODED = [7, 8, 13].freeze

class Client
  def initialize(url, draft)
    @url = url
    @uri = URI.parse(url)
    @version = VERSIONS.fetch(draft)
    @incoming = WebSocket::Frame::Incoming::Client.new(version: @version)
  end

  def run(task)
    taken = open(task["subprotocol"])
    echoes = task["messages"].map { |message| echo(:text, message).force_encoding(Encoding::UTF_8) }
    binary = task["binary"].map { |encoded| Base64.strict_encode64(echo(:binary, Base64.decode64(encoded))) }
    finish(task["close"]).merge(echoes: echoes, binary: binary, subprotocol: taken)
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
    body = [76, 3].include?(@version) ? 16 : 0
    loop do
      head_end = bytes.index("\r\n\r\n".b)
      return bytes if head_end && bytes.bytesize >= head_end + 4 + body

      bytes << @socket.readpartial(65_536)
    end
  end

  def put(type, data = nil, code = nil)
    frame = WebSocket::Frame::Outgoing::Client.new(version: @version, type: type, data: data, code: code)
    @socket.write(frame.to_s)
  end

  def receive
    loop do
      frame = @incoming.next
      if frame.nil?
        raise "bad frame: #{@incoming.error}" if @incoming.error?

        @incoming << @socket.readpartial(65_536)
      elsif frame.type == :ping
        put(:pong, frame.to_s)
      else
        return frame
      end
    end
  end

  def echo(type, message)
    put(type, message)
    frame = receive
    raise "another message came back" unless frame.type == type && frame.to_s.b == message.b

    frame.to_s
  end

  # How the other side ends: "clean" with a close frame, "tcp" without one.
  def finish(first)
    result = { closed: "tcp", code: nil, reason: "" }
    if first
      if @version == 75
        @socket.close_write
      else
        CODED.include?(@version) ? put(:close, "bye", 4001) : put(:close)
      end
    end
    frame = receive
    raise "a message instead of the end" unless frame.type == :close

    result = { closed: "clean", code: frame.code, reason: frame.to_s }
    put(:close, nil, frame.code) unless first
    @socket.readpartial(1)
    raise "bytes after the close frame"
  rescue EOFError
    result
  end
end

url, draft, file = ARGV
task = JSON.parse(File.read(file, encoding: "UTF-8"))
puts JSON.generate(Timeout.timeout(30) { Client.new(url, draft).run(task) })
