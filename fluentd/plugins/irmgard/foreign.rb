# frozen_string_literal: true

require_relative 'clock'
require_relative 'document'
require_relative 'level'

module Irmgard
  # JSON objects of programs that nothing is known of.
  module Foreign
    MESSAGES = %w[message msg log event].freeze
    LEVELS = %w[level severity lvl loglevel].freeze
    TIMES = %w[@timestamp timestamp time ts].freeze
    TRACE = /\A(?!0{32})\h{32}\z/

    module_function

    def read(object, text)
      document = Document.new
      message = MESSAGES.find { |name| object[name].is_a?(String) }
      document.set('message', message ? object[message] : text)
      document.set('level', first(LEVELS, object) { |value| Level.of_value(value) })
      time = first(TIMES, object) { |value| value.is_a?(String) && Clock.utc(value) }
      document.own('@timestamp', time) if time
      trace = object['trace_id']
      document.set('trace_id', trace.downcase) if trace.is_a?(String) && TRACE.match?(trace)
      object.each { |name, value| document.other(name, value) unless name == message }
      document
    end

    def first(names, object)
      names.each do |name|
        found = yield object[name]
        return found if found
      end
      nil
    end
  end
end
