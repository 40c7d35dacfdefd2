# frozen_string_literal: true

require 'fluent/plugin/output'
require_relative 'irmgard/joiner'

module Fluent
  module Plugin
    # Takes the lines of pods' files and emits what programs wrote, with an id: see Irmgard::Joiner.
    class JoinOutput < Output
      Fluent::Plugin.register_output('join', self)

      helpers :event_emitter, :timer

      desc 'Where is kept what is held'
      config_param :held_path, :string
      desc 'The tag of what comes out'
      config_param :tag, :string
      desc 'The name of the field with the line, and of the one with the path of its file'
      config_param :line_key, :string, default: 'line'
      config_param :path_key, :string, default: 'path'

      def start
        super
        @joiner = Irmgard::Joiner.new(@held_path)
        @mutex = Mutex.new
        timer_execute(:join_flush, 0.5) { flush }
      end

      def multi_workers_ready?
        false
      end

      def process(_tag, events)
        by_path = Hash.new { |hash, path| hash[path] = [] }
        events.each { |_time, record| by_path[record[@path_key]] << record[@line_key] }
        @mutex.synchronize do
          by_path.each { |path, lines| @joiner.batch(path, lines) { |records| emit(records) } }
        end
      rescue StandardError => e
        # The one error after which the input keeps its place and comes again with these lines.
        log.error 'lines were not taken, they are read again', error: e
        raise Buffer::BufferOverflowError, e.message
      end

      private

      def flush
        @mutex.synchronize { @joiner.flush { |records| emit(records) } }
      rescue StandardError => e
        log.error 'what was held was not given away', error: e
        log.error_backtrace
      end

      def emit(records)
        return if records.empty?

        now = EventTime.now
        router.emit_stream(@tag, ArrayEventStream.new(records.map { |record| [now, record] }))
      end
    end
  end
end
