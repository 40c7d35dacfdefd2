# frozen_string_literal: true

require_relative 'clock'
require_relative 'document'
require_relative 'level'

module Irmgard
  # JSON objects of programs that nothing is known of.
  module Foreign
    MESSAGES = %w[message msg log event].freeze
    # The last is Elastic's; it is written as an object, too.
    LEVELS = %w[level severity lvl loglevel log.level].freeze
    TIMES = %w[@timestamp timestamp time ts].freeze
    # zap writes seconds since 1970 here. A number under another name may count milliseconds, or from the program's start.
    TS = 'ts'
    # pino writes milliseconds since 1970 here, beside a level that is a number.
    TIME = 'time'
    # OpenTelemetry's name, Elastic's, and that of Spring's loggers.
    TRACES = %w[trace_id trace.id traceId].freeze
    # Google's: projects/<project>/traces/<id>.
    GOOGLE_TRACE = 'logging.googleapis.com/trace'
    TRACE = /\A(?!0{32})\h{32}\z/

    module_function

    def read(object, text)
      document = Document.new
      message = MESSAGES.find { |name| object[name].is_a?(String) }
      document.set('message', message ? object[message] : text)
      document.set('level', first(LEVELS, object) { |value| Level.of_value(value) } || nested_level(object['log']))
      time = first(TIMES, object) { |value, name| time_of(value, name, object['level']) }
      document.own('@timestamp', time) if time
      document.set('trace_id', trace_of(object)&.downcase)
      Flat.sorted(object).each { |name, value| document.other(name, value) unless name == message }
      document
    end

    def nested_level(log)
      Level.of_value(log['level']) if log.is_a?(Hash)
    end

    def time_of(value, name, level)
      case value
      when String then Clock.utc(value)
      when Numeric
        return Clock.of_seconds(value) if name == TS

        Clock.of_seconds(value / 1000.0) if name == TIME && level.is_a?(Integer) && Level.of_value(level)
      end
    end

    def trace_of(object)
      nested = object['trace']
      nested = nested.is_a?(Hash) ? nested['id'] : nil
      google = object[GOOGLE_TRACE]
      google = google.is_a?(String) ? google.split('/', -1).last : nil
      [*object.values_at(*TRACES), nested, google].find { |trace| trace.is_a?(String) && TRACE.match?(trace) }
    end

    def first(names, object)
      names.each do |name|
        found = yield object[name], name
        return found if found
      end
      nil
    end
  end
end
