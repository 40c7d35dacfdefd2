# frozen_string_literal: true

require 'fluent/plugin/filter'
require_relative 'irmgard/document'
require_relative 'irmgard/normalizer'

module Fluent
  module Plugin
    # Logs the number of new dead letters, because users and alert rules of OpenSearch do not see Fluentd's files and
    # metrics. At most one line per `interval`.
    class DeadLetterNoticeFilter < Filter
      Fluent::Plugin.register_filter('dead_letter_notice', self)

      helpers :event_emitter, :timer

      desc 'Path of the Rust library'
      config_param :library, :string
      desc 'Label that receives the notice'
      config_param :to, :string
      desc 'First part of the tag of the notice'
      config_param :tag, :string
      desc 'Minimum time between two notices'
      config_param :interval, :time, default: 60
      desc 'Node and pod of this process'
      config_param :node, :string, default: nil
      config_param :pod, :string, default: nil

      def start
        super
        @normalizer = Irmgard::Normalizer.new(@library)
        @mutex = Mutex.new
        @count = 0
        @last = nil
        # Ids of notices. Rejected notices do not count, which prevents an endless loop.
        @notices = []
        @destination = event_emitter_router(@to)
        timer_execute(:dead_letter_notice, 1) { notify if due? }
      end

      def before_shutdown
        notify
        super
      end

      # Returns the line for the file of dead letters.
      def filter(tag, _time, record)
        @mutex.synchronize { @count += 1 unless @notices.include?(record['id']) }
        { 'line' => Irmgard::Document.line(tag, record) }
      end

      private

      def due?
        @last.nil? || Fluent::Clock.now - @last >= @interval
      end

      def notify
        count = @mutex.synchronize { @count.tap { @count = 0 } }
        return if count.zero?

        @last = Fluent::Clock.now
        @normalizer.call(:notice, count, @node.to_s, @pod.to_s).each_stream do |stream, events|
          @mutex.synchronize { events.each { |_time, record| @notices = [*@notices.last(99), record['id']] } }
          @destination.emit_stream("#{@tag}.#{stream}", events)
        end
      end
    end
  end
end
