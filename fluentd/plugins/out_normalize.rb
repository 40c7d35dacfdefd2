# frozen_string_literal: true

require 'fluent/plugin/output'
require 'prometheus/client'
require_relative 'irmgard/normalizer'

module Fluent
  module Plugin
    # Turns lines of pods' files and of dead-letter files into documents, with the Rust library.
    class NormalizeOutput < Output
      Fluent::Plugin.register_output('normalize', self)

      helpers :event_emitter, :timer

      desc 'Path of the Rust library'
      config_param :library, :string
      desc 'Folder for pending lines: parts of long lines and of stack traces'
      config_param :pending_path, :string
      desc 'Name of the node, for pods without metadata'
      config_param :node, :string, default: nil
      desc 'Tag of lines from dead-letter files'
      config_param :dead_letter_tag, :string
      desc 'First part of the tag of documents; the stream is the second'
      config_param :tag, :string

      def start
        super
        @normalizer = Irmgard::Normalizer.new(@library)
        @normalizer.call(:open, @pending_path, @node.to_s)
        registry = ::Prometheus::Client.registry
        name = :fluentd_normalizer_panics_total
        @panics = registry.get(name) || registry.counter(name, docstring: 'Panics of the normaliser; their lines are stored as text')
        @mutex = Mutex.new
        timer_execute(:normalize_expire, 0.5) { expire }
      end

      def multi_workers_ready?
        false
      end

      def process(tag, events)
        transaction do
          if tag == @dead_letter_tag
            lines_by_file(events).each_value { |lines| emit(:dead_letters, lines) }
          else
            lines_by_file(events).each { |file, lines| emit(:feed, *file, lines) }
          end
        end
      rescue StandardError => e
        # Only after this error, the input keeps its position and reads the lines again.
        log.error 'lines could not be processed and will be read again', error: e
        raise Buffer::BufferOverflowError, e.message
      end

      private

      # The lines by file and pod. Each gets CR LF, because `tail` has removed CR LF or LF.
      def lines_by_file(events)
        files = Hash.new { |hash, file| hash[file] = String.new }
        events.each { |_time, record| files[[record['path'], record['pod'].to_s]] << record['line'] << "\r\n" }
        files
      end

      def expire
        transaction { emit(:expire) }
      rescue StandardError => e
        log.error 'pending lines could not be sent', error: e
        log.error_backtrace
      end

      def transaction
        @mutex.synchronize do
          yield
          @normalizer.call(:commit)
        rescue StandardError
          @normalizer.call(:rollback)
          raise
        end
      end

      # Calls the library and emits the result. Clears the last argument, and the events once they are in the buffer:
      # the garbage collector would free these megabytes late.
      def emit(name, *arguments)
        response = @normalizer.call(name, *arguments)
        arguments.last&.clear
        response.panics.each do |message|
          @panics.increment
          log.error 'the normaliser panicked; its lines are stored as text', error: message
        end
        response.rejected.each do |line|
          router.emit_error_event(@dead_letter_tag, EventTime.now, { 'line' => line }, RuntimeError.new('not a document'))
        end
        response.each_stream do |stream, events|
          router.emit_stream("#{@tag}.#{stream}", events)
          events.to_msgpack_stream.clear
        end
      end
    end
  end
end
