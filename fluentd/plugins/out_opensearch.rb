# frozen_string_literal: true

require 'fluent/plugin/out_opensearch'

module Irmgard
  # Sends the JSON of a document unchanged. The plugin itself would parse each document and serialise it again.
  module ReadyJson
    # Called for each record of a request, and again if the answer has errors.
    def append_record_to_messages(_operation, meta, _header, record, messages)
      return false unless record.key?('json') && meta.key?('_id')

      messages << '{"create":{"_index":"' << meta['_index'] << '","_id":"' << meta['_id'] << "\"}}\n" << record['json'] << "\n"
      # Freed now, because the garbage collector would free these megabytes late.
      record['json'].clear
      true
    end
  end
end

Fluent::Plugin::OpenSearchOutput.prepend(Irmgard::ReadyJson)
