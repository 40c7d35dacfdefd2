# frozen_string_literal: true

require_relative 'clock'
require_relative 'document'

module Irmgard
  # RabbitMQ's JSON formatter.
  module Rabbitmq
    LEVELS = {
      'debug' => 'debug', 'info' => 'info', 'notice' => 'info', 'warning' => 'warn',
      'error' => 'error', 'critical' => 'error', 'alert' => 'error', 'emergency' => 'error'
    }.freeze
    PLACES = {
      'msg' => 'message', 'pid' => 'rabbitmq.pid', 'file' => 'code.file.path', 'line' => 'code.line.number'
    }.freeze
    # `connection <0.1.0> (127.0.0.1:5 -> …`; of 4.x also without the Erlang process.
    CONNECTION = /connection (?:(<\d+\.\d+\.\d+>) \()?(?:\[([^\]\s]+)\]|([^\s:()\[][^\s:()]*)):(\d+) -> /
    CLIENT = /has a client-provided name: ([^\r\n]*)/

    module_function

    def line?(object)
      pid = object['pid']
      %w[time level msg].all? { |name| object[name].is_a?(String) } &&
        ((pid.is_a?(String) && pid.start_with?('<')) || !domain(object['domain']).nil?)
    end

    def read(object)
      document = Document.new
      document.set('messaging.system', 'rabbitmq')
      connection(document, object['msg'])
      Flat.sorted(object).each { |name, value| member(document, name, value) }
      document
    end

    def member(document, name, value)
      place, taken = known(name, value)
      return document.own(place, taken) if taken

      PLACES.key?(name) ? document.set(PLACES[name], value) : document.other(name, value)
    end

    # Where a member goes that has to be read first, and what it says, if it can be read.
    def known(name, value)
      case name
      when 'level' then ['level', LEVELS[value]]
      when 'time' then ['@timestamp', Clock.utc(value)]
      when 'domain' then ['rabbitmq.domain', domain(value)]
      when 'mfa' then ['code.function.name', function(value)]
      end
    end

    def domain(value)
      return value if value.is_a?(String)

      value.join('.') if value.is_a?(Array) && !value.empty? && value.all?(String)
    end

    def function(value)
      return value if value.is_a?(String)

      mod, name, arity = value if value.is_a?(Array) && value.size == 3
      "#{mod}:#{name}/#{arity}" if mod.is_a?(String) && name.is_a?(String) && arity.is_a?(Numeric)
    end

    def connection(document, message)
      if (match = CONNECTION.match(message))
        document.set('rabbitmq.connection.pid', match[1])
        document.set('client.address', match[2] || match[3])
        document.set('client.port', match[4])
      end
      name = CLIENT.match(message)&.[](1)
      document.set('messaging.client.id', name) unless name.to_s.empty?
    end
  end
end
