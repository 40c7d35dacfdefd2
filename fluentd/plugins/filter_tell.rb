# frozen_string_literal: true

require 'digest'
require 'fluent/plugin/filter'
require_relative 'irmgard/clock'

module Fluent
  module Plugin
    # Says in a line of its own how many lines have become dead letters: whoever reads the logs in OpenSearch, and the
    # rules there, know of Fluentd's files and metrics nothing. At most one line in a while, however many are refused.
    class TellFilter < Filter
      Fluent::Plugin.register_filter('tell', self)

      helpers :event_emitter, :timer

      COMPONENT = 'fluentd'
      KIND = 'dead-letters'

      desc 'The label that the line goes to'
      config_param :to, :string
      desc 'Its tag'
      config_param :tag, :string
      desc 'Seconds between two lines'
      config_param :rest, :time, default: 60
      desc 'The node and the pod of this process, where they are known'
      config_param :node, :string, default: nil
      config_param :pod, :string, default: nil

      def start
        super
        @mutex = Mutex.new
        @count = 0
        @told = nil
        @destination = event_emitter_router(@to)
        timer_execute(:tell, 1) { tell if due? }
      end

      def before_shutdown
        tell
        super
      end

      def filter(_tag, _time, record)
        # One about this line, refused like the others, would make the next.
        @mutex.synchronize { @count += 1 } unless record['component'] == COMPONENT && record['kind'] == KIND
        record
      end

      private

      def due?
        @told.nil? || Fluent::Clock.now - @told >= @rest
      end

      def tell
        count = @mutex.synchronize { @count.tap { @count = 0 } }
        return if count.zero?

        @told = Fluent::Clock.now
        @destination.emit(@tag, EventTime.now, document(count))
      end

      def document(count)
        now = Irmgard::Clock.now
        place = { 'node' => @node, 'pod' => @pod }.reject { |_name, value| value.nil? || value.empty? }
        id = Digest::SHA256.hexdigest([KIND, @node, @pod, Process.pid, now].join("\0"))
        {
          '_stream' => COMPONENT, '@timestamp' => now, 'level' => 'error', 'component' => COMPONENT, 'kind' => KIND,
          'count' => count, 'message' => 'lines were not stored and are kept as dead letters', 'event' => { 'id' => id }
        }.merge(place.empty? ? {} : { 'kubernetes' => place })
      end
    end
  end
end
