# A client made with websocket-driver for Ruby: websocket_driver_client.rb URL DRAFT TASK
require "base64"
require "json"
require "socket"
require "timeout"
require "uri"
require "websocket/driver"

# What the driver writes to, and learns the address from.
Wire = Struct.new(:url, :socket) do
  def write(bytes)
    socket.write(bytes)
  end
end

class Client
  def initialize(url, task)
    uri = URI.parse(url)
    @task = task
    @socket = TCPSocket.new(uri.host, uri.port)
    @driver = WebSocket::Driver.client(Wire.new(url, @socket), protocols: [task["subprotocol"]].compact)
    @received = []
    @driver.on(:open) { @opened = true }
    @driver.on(:message) { |event| @received << event.data }
    @driver.on(:error) { |error| raise error.message }
    @driver.on(:close) { |event| @close = event }
  end

  def run
    @driver.start
    read until @opened
    echoes = @task["messages"].map { |message| echo(message) { @driver.text(message) } }
    binary = @task["binary"].map do |encoded|
      bytes = Base64.decode64(encoded).bytes
      encode(echo(bytes) { @driver.binary(bytes) })
    end
    @driver.close("bye", 4001) if @task["close"]
    finish.merge(echoes: echoes, binary: binary, subprotocol: @driver.protocol)
  end

  private

  def read
    @driver.parse(@socket.readpartial(65_536))
  end

  def encode(bytes)
    Base64.strict_encode64(bytes.pack("C*"))
  end

  def echo(message)
    yield
    read while @received.empty?
    raise "another message came back" unless @received.shift == message

    message
  end

  def finish
    read until @close
    raise "a message instead of the end" unless @received.empty?

    { closed: "clean", code: @close.code, reason: @close.reason }
  rescue EOFError
    { closed: "tcp", code: nil, reason: "" }
  end
end

url, draft, file = ARGV
raise "no such draft here: #{draft}" unless draft == "rfc6455"

task = JSON.parse(File.read(file, encoding: "UTF-8"))
puts JSON.generate(Timeout.timeout(30) { Client.new(url, task).run })
