# frozen_string_literal: true

require 'fluent/plugin/filter'
require_relative 'irmgard/normalizer'

module Fluent
  module Plugin
    # Brings what programs write to the one shape of docs/log-fields.md: see Irmgard::Normalizer.
    class LineFilter < Filter
      Fluent::Plugin.register_filter('line', self)

      desc 'The name of the node, for pods that are not known'
      config_param :node, :string, default: nil

      def configure(conf)
        super
        @node = nil if @node&.empty?
      end

      def filter(_tag, _time, record)
        # A dead letter that comes again was a document before.
        record.key?('_stream') ? record : Irmgard::Normalizer.document(record, @node)
      end
    end
  end
end
