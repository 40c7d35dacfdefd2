# frozen_string_literal: true

require 'json'

module Irmgard
  # A document as one line of JSON with the name of its stream, so that it can be sent again.
  module Document
    module_function

    # `tag` ends with the stream. Other records are written unchanged.
    def line(tag, record)
      json = record['json']
      json ? %(#{json.chomp('}')},"_stream":#{JSON.generate(tag.split('.').last)}}) : JSON.generate(record, max_nesting: 0)
    end
  end
end
